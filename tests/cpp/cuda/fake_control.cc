// What fake_cuda.h declares.
#include "fake_cuda.h"

#include <algorithm>

#include "fake_state.h"

using fake::state;
using Lock = std::scoped_lock<std::mutex>;

namespace {

fake::Device& device_of(int device) {
  return state().devices.at(static_cast<std::size_t>(device));
}

}  // namespace

void fake_cuda_machine(int devices, int driver_version) {
  const Lock lock(state().mutex);
  state().devices.resize(static_cast<std::size_t>(devices));
  state().driver_version = driver_version;
}

void fake_cuda_init_result(CUresult result) {
  const Lock lock(state().mutex);
  state().init_result = result;
}

void fake_cuda_hide(const char* function) {
  const Lock lock(state().mutex);
  state().hidden = function != nullptr ? function : "";
}

void fake_cuda_limits(std::size_t device_bytes, std::size_t pinned_bytes) {
  const Lock lock(state().mutex);
  state().device_bytes = device_bytes;
  state().pinned_bytes = pinned_bytes;
}

void fake_cuda_break(int device, CUresult error) {
  const Lock lock(state().mutex);
  if (device_of(device).primary != nullptr) state().break_context(device_of(device).primary, error);
}

void fake_cuda_break_after(int device, std::uint64_t operations, CUresult error) {
  const Lock lock(state().mutex);
  device_of(device).break_after = operations;
  device_of(device).break_with = error;
}

void fake_cuda_break_new_contexts(CUresult error) {
  const Lock lock(state().mutex);
  state().new_contexts_broken = error;
}

void fake_cuda_deinitialize(bool is_deinitialized) {
  const Lock lock(state().mutex);
  state().is_deinitialized = is_deinitialized;
}

void fake_cuda_stranger(int device, bool holds_it) {
  const Lock lock(state().mutex);
  CUcontext context = nullptr;
  static_cast<void>(holds_it ? state().retain(device, context) : state().release(device));
}

void fake_cuda_reset(int device) {
  const Lock lock(state().mutex);
  state().destroy_primary(device);
}

CUresult fake_cuda_launch(CUstream stream, void (*kernel)(void*), void* argument) {
  const Lock lock(state().mutex);
  return state().put(stream, {.work = [kernel, argument] { kernel(argument); }, .point = {}});
}

std::uint64_t fake_cuda_blocking_calls() {
  const Lock lock(state().mutex);
  return state().blocking_calls;
}

int fake_cuda_contexts(int device) {
  const Lock lock(state().mutex);
  return device_of(device).contexts;
}

int fake_cuda_retained(int device) {
  const Lock lock(state().mutex);
  return device_of(device).retained;
}

int fake_cuda_objects() {
  const Lock lock(state().mutex);
  const auto exists = [](const auto& one) { return !one->is_destroyed; };
  return static_cast<int>(std::ranges::count_if(state().streams, exists) +
                          std::ranges::count_if(state().events, exists) +
                          std::ranges::count_if(state().graphs, exists)) +
         static_cast<int>(state().memory.size());
}

int fake_cuda_entered() {
  return static_cast<int>(fake::thread_stack().size());
}

std::uint64_t fake_cuda_pageable_copies() {
  const Lock lock(state().mutex);
  return state().pageable_copies;
}

unsigned int fake_cuda_stream_flags(CUstream stream) {
  const Lock lock(state().mutex);
  return stream->flags;
}
