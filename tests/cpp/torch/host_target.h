// What a test may ask of host_target.cc, which is in the backend's library.
//
// Threads: any.
#pragma once

#include <cstddef>

#define HOST_TARGET_API extern "C" __attribute__((visibility("default")))

// So many bytes of a device, which a model was loaded on before, are what libtorch keeps unused.
// False: the device has not so many.
HOST_TARGET_API bool host_target_hoard(int device, std::size_t bytes);
// How often it gave back what it keeps.
HOST_TARGET_API int host_target_given_back();
