# Finds CUDA's compiler, headers and libraries in NVIDIA's layout (/usr/local/cuda), in Debian's (nvidia-cuda-toolkit,
# nvidia-cudnn) or in that of Python wheels (site-packages/nvidia/...). -DADVF_CUDA_ROOT=<folder> names one more place
# and goes first. Sets ADVF_NVCC, ADVF_CUDA_INCLUDES and ADVF_CUDA_LIBRARIES, or says in one message what is missing.
set(ADVF_CUDA_ROOT "" CACHE PATH "where CUDA is, if not in a usual place")

if(NOT DEFINED ADVF_CUDA_USUAL)  # where NVIDIA's installer puts it; tests/cuda_toolkit.sh has another place
  set(ADVF_CUDA_USUAL /usr/local/cuda)
endif()
set(roots ${ADVF_CUDA_ROOT} $ENV{CUDA_HOME} $ENV{CUDA_PATH} ${ADVF_CUDA_USUAL})
find_program(ADVF_PYTHON NAMES python3)
if(ADVF_PYTHON)
  execute_process(COMMAND ${ADVF_PYTHON} -c "import sys; print(';'.join(p for p in sys.path if p.endswith('-packages')))"
    OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  foreach(folder IN LISTS packages)
    file(GLOB wheels LIST_DIRECTORIES true ${folder}/nvidia/*)  # nvidia/cu13, or nvidia/cublas, nvidia/cudnn, ...
    list(APPEND roots ${wheels})
  endforeach()
endif()

find_program(ADVF_NVCC NAMES nvcc HINTS ${roots} PATH_SUFFIXES bin)
foreach(header cuda_runtime cublas_v2 cudnn crt/host_config)  # crt: in the compiler's own wheel
  string(REPLACE "/host_config" "" name ${header})
  find_path(ADVF_${name}_INCLUDE NAMES ${header}.h HINTS ${roots} PATH_SUFFIXES include)
endforeach()
foreach(library cudart cublas cudnn)
  # A wheel has the library without the name that a linker looks for.
  find_library(ADVF_${library}_LIBRARY NAMES ${library} lib${library}.so.13 lib${library}.so.12 lib${library}.so.9
    HINTS ${roots} PATH_SUFFIXES lib64 lib lib/x86_64-linux-gnu)
endforeach()

# For a test alone: the backend finds NCCL when a program asks for it.
find_path(ADVF_NCCL_INCLUDE NAMES nccl.h HINTS ${roots} PATH_SUFFIXES include)

set(missing)
foreach(found NVCC cuda_runtime_INCLUDE crt_INCLUDE cublas_v2_INCLUDE cudnn_INCLUDE cudart_LIBRARY cublas_LIBRARY
    cudnn_LIBRARY)
  if(NOT ADVF_${found})
    string(REPLACE "_v2" "" name ${found})
    string(REGEX REPLACE "(.*)_INCLUDE" "\\1's headers" name ${name})
    string(REGEX REPLACE "(.*)_LIBRARY" "\\1's library" name ${name})
    string(REPLACE "NVCC" "the compiler nvcc" name ${name})
    list(APPEND missing ${name})
  endif()
endforeach()
if(missing)
  list(JOIN missing ", " missing)
  message(FATAL_ERROR "ADVF_CUDA=ON: not found: ${missing}. Install CUDA 12 or later with cuDNN 9, or name its folder "
    "with -DADVF_CUDA_ROOT=...; -DADVF_CUDA=OFF builds without.")
endif()

set(ADVF_CUDA_INCLUDES ${ADVF_cuda_runtime_INCLUDE} ${ADVF_crt_INCLUDE} ${ADVF_cublas_v2_INCLUDE} ${ADVF_cudnn_INCLUDE})
list(REMOVE_DUPLICATES ADVF_CUDA_INCLUDES)
set(ADVF_CUDA_LIBRARIES ${ADVF_cudart_LIBRARY} ${ADVF_cublas_LIBRARY} ${ADVF_cudnn_LIBRARY})
