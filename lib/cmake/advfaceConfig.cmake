include("${CMAKE_CURRENT_LIST_DIR}/advfaceTargets.cmake")
