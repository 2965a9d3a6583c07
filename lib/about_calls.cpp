#include <cstring>

#include "advface/keys/key.h"
#include "lib/call.h"
#include "tensor/parallel.h"

using namespace advf::lib;

uint32_t advface_version(void) { return ADVFACE_VERSION; }

int32_t advface_has(const char* feature) {
  if (!feature) return 0;
  if (std::strcmp(feature, "keys") == 0) return advf::has_keys() ? 1 : 0;
  return std::strcmp(feature, "store") == 0 ? 1 : 0;  // there is no library without
}

advface_status advface_set_threads(int32_t threads, advface_error** error) {
  return guarded(error, [&] {
    check_argument(threads >= 0 && threads <= 1024, "threads is ", threads, "; 0 (all) to 1024 are possible");
    advf::set_num_threads(threads);
  });
}

int32_t advface_threads(void) { return is_forked() ? 0 : advf::num_threads(); }
