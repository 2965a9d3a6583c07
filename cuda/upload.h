// Copies to the device that overlap its work. The bytes go to page-locked memory, from there over a stream of
// their own to staging memory on the device, and only the last hop, inside the device, waits its turn among
// the computing. So the host may prepare the next chunk while this one is computed, and whatever still reads
// the destination reads it in peace.
#pragma once
#include <cstddef>

namespace advf::cuda {

// Returns when the source may be changed; later work of the context's stream sees the copy.
void upload(void* device, const void* host, size_t bytes);

}  // namespace advf::cuda
