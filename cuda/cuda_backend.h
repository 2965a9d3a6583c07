// The "cuda" device by name. Which file implements this is chosen at link time: the real backend, or
// unavailable.cpp, whose device exists only to say what to do.
#pragma once

namespace advf {

void register_cuda_backend();

}  // namespace advf
