// What a test may do to the fake driver (fake_driver.cc), beside what it does through slipstream.
//
// The fake is a libcuda.so.1: it has the functions that slipstream resolves, and works: streams run
// on threads, so that a sanitizer sees what would be a race; contexts are current by thread, have a
// stack, and die; memory is bounded; errors stick. Tests link it, so that the name is loaded.
// Threads: any. Everything here is about the one driver of the process.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

#define FAKE_CUDA_API extern "C" __attribute__((visibility("default")))

// What the machine is; before the driver is opened.
FAKE_CUDA_API void fake_cuda_machine(int devices, int driver_version);
// What cuInit answers.
FAKE_CUDA_API void fake_cuda_init_result(CUresult result);
// The driver does not have that function; null: it has all.
FAKE_CUDA_API void fake_cuda_hide(const char* function);
// Bytes of each device, and bytes that can be pinned.
FAKE_CUDA_API void fake_cuda_limits(std::size_t device_bytes, std::size_t pinned_bytes);

// The context of that device is broken: everything in it answers `error`, and what waits on streams
// is dropped. At once, or by the operation after `operations` more have begun.
FAKE_CUDA_API void fake_cuda_break(int device, CUresult error);
FAKE_CUDA_API void fake_cuda_break_after(int device, std::uint64_t operations, CUresult error);
// New contexts are broken as well, as on a device that needs more than a new context.
FAKE_CUDA_API void fake_cuda_break_new_contexts(CUresult error);
// The driver is shutting down: every call answers CUDA_ERROR_DEINITIALIZED.
FAKE_CUDA_API void fake_cuda_deinitialize(bool is_deinitialized);

// A library of its own that uses the device's primary context, or stops using it.
FAKE_CUDA_API void fake_cuda_stranger(int device, bool holds_it);
// Such a library resets the context under everybody else.
FAKE_CUDA_API void fake_cuda_reset(int device);

// Puts a computation on a stream, as a kernel's launch would.
FAKE_CUDA_API CUresult fake_cuda_launch(CUstream stream, void (*kernel)(void*), void* argument);

// Calls so far that a real driver may wait in for what is in progress.
FAKE_CUDA_API std::uint64_t fake_cuda_blocking_calls();
// Copies so far from or to memory of the host that is not page-locked: a real driver makes the
// caller wait for those.
FAKE_CUDA_API std::uint64_t fake_cuda_pageable_copies();
// Primary contexts of that device made so far; how often it is retained now.
FAKE_CUDA_API int fake_cuda_contexts(int device);
FAKE_CUDA_API int fake_cuda_retained(int device);
// Streams, events, graphs and blocks of memory that exist now, of all devices.
FAKE_CUDA_API int fake_cuda_objects();
// Contexts on the calling thread's stack.
FAKE_CUDA_API int fake_cuda_entered();
FAKE_CUDA_API unsigned int fake_cuda_stream_flags(CUstream stream);
