// What Python calls, by ctypes. A call that fails answers null or false, and bench_error() says
// why. One thread.
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "backends/torch/failures.h"
#include "backends/torch/target.h"
#include "core/dtype.h"
#include "device/graphed_computation.h"
#include "network.h"
#include "replay.h"
#include "stages.h"

#define SLIPSTREAM_BENCH_API extern "C" __attribute__((visibility("default")))

namespace slipstream::bench_gpu {
namespace {

std::string& last_error() {
  static std::string error;
  return error;
}

bool told(const Status& status) {
  if (!status.is_ok()) last_error() = status.message();
  return status.is_ok();
}

struct Opened {
  std::unique_ptr<Replay> replay;
};

Status time_overlap(const Replay& replay, std::size_t pieces, std::int64_t batches, double* took) {
  const std::shared_ptr<Network>& network = replay.network();
  device::Device& device = network->device();
  const device::Entered entered(device);
  const auto put = [took](std::size_t at, const Result<Nanoseconds>& one) {
    if (one.is_ok()) took[at] = static_cast<double>(one.value());
    return one.is_ok() ? Status::ok() : one.status();
  };
  const std::size_t in = replay.input().size();
  const std::size_t out = replay.output().size();
  Status status = put(0, time_gather(device, in, pieces, batches));
  if (status.is_ok()) status = put(1, time_copies(device, in, Direction::kToDevice, batches));
  if (status.is_ok()) status = put(3, time_copies(device, out, Direction::kToHost, batches));
  if (!status.is_ok()) return status;
  auto inner = std::make_unique<NetworkComputation>(network);
  if (status = inner->build(); !status.is_ok()) return status;
  const std::int64_t rows = network->input_shape()[0];
  device::GraphedComputation computation(std::move(inner), {.max_rows = rows});
  return put(4, time_pipeline(network->target().device, computation, network->spec(), rows, pieces,
                              batches));
}

Status time_bandwidth(int ordinal, std::size_t bytes, std::size_t pieces, std::int64_t batches,
                      double* took) {
  const Result<libtorch::TorchTarget> target = libtorch::open_target(ordinal);
  if (!target.is_ok()) return target.status();
  device::Device& device = *target.value().device;
  const device::Entered entered(device);
  const Result<Nanoseconds> bare = time_copies(device, bytes, Direction::kToDevice, batches);
  if (!bare.is_ok()) return bare.status();
  const Result<Nanoseconds> gather = time_gather(device, bytes, pieces, batches);
  if (!gather.is_ok()) return gather.status();
  const auto rows = static_cast<std::int64_t>(pieces);
  const auto width = static_cast<std::int64_t>(bytes / pieces / sizeof(float));
  ModelSpec spec;
  spec.inputs.push_back({"x", DType::kFloat32, {-1, width}});
  spec.outputs.push_back({"y", DType::kFloat32, {-1, 1}});
  spec.batchable = true;
  NoComputation nothing(device);
  if (Status status = nothing.build(); !status.is_ok()) return status;
  const Result<Nanoseconds> whole =
      time_pipeline(target.value().device, nothing, spec, rows, pieces, batches);
  if (!whole.is_ok()) return whole.status();
  took[0] = static_cast<double>(bare.value());
  took[1] = static_cast<double>(gather.value());
  took[2] = static_cast<double>(whole.value());
  return Status::ok();
}

}  // namespace
}  // namespace slipstream::bench_gpu

namespace gpu = slipstream::bench_gpu;

SLIPSTREAM_BENCH_API const char* bench_error() {
  return gpu::last_error().c_str();
}

// A network on the device of that number, for one input of that type (NumPy's name) and shape.
SLIPSTREAM_BENCH_API void* bench_open(const char* path, int ordinal, const char* dtype,
                                      const std::int64_t* dims, std::size_t rank) {
  using slipstream::Result;
  const std::optional<slipstream::DType> type = slipstream::dtype_from_name(dtype);
  if (!type) {
    gpu::told(slipstream::invalid_argument("no tensor has the type " + std::string(dtype)));
    return nullptr;
  }
  const slipstream::Shape shape{std::span(dims, rank)};
  Result<std::shared_ptr<gpu::Network>> network = gpu::Network::open(path, ordinal, *type, shape);
  if (!gpu::told(network.status())) return nullptr;
  Result<std::unique_ptr<gpu::Replay>> replay = gpu::Replay::create(std::move(network).value());
  if (!gpu::told(replay.status())) return nullptr;
  return std::make_unique<gpu::Opened>(gpu::Opened{std::move(replay).value()}).release();
}

SLIPSTREAM_BENCH_API void bench_close(void* opened) {
  const std::unique_ptr<gpu::Opened> ended(static_cast<gpu::Opened*>(opened));
}

SLIPSTREAM_BENCH_API bool bench_is_recorded(void* opened) {
  return static_cast<gpu::Opened*>(opened)->replay->is_recorded();
}

// The bytes of an answer; they are copied to `answer` where it is not null.
SLIPSTREAM_BENCH_API std::size_t bench_answer(void* opened, void* answer) {
  const auto output = static_cast<gpu::Opened*>(opened)->replay->output();
  if (answer != nullptr) std::memcpy(answer, output.data(), output.size());
  return output.size();
}

// What the calls from here on are given: as many bytes as the shape has.
SLIPSTREAM_BENCH_API void bench_set_input(void* opened, const void* rows) {
  const auto input = static_cast<gpu::Opened*>(opened)->replay->input();
  std::memcpy(input.data(), rows, input.size());
}

// Nanoseconds of each of so many calls.
SLIPSTREAM_BENCH_API bool bench_call(void* opened, std::int64_t calls, std::int64_t* took) {
  return gpu::told(
      static_cast<gpu::Opened*>(opened)->replay->call({took, static_cast<std::size_t>(calls)}));
}

// Nanoseconds of so many computations without copies, or -1.
SLIPSTREAM_BENCH_API std::int64_t bench_back_to_back(void* opened, std::int64_t times) {
  const auto took = static_cast<gpu::Opened*>(opened)->replay->back_to_back(times);
  return gpu::told(took.status()) ? took.value() : -1;
}

// Nanoseconds a batch: gather, copy in, (left as it is), copy out, all of it by the pipeline.
SLIPSTREAM_BENCH_API bool bench_overlap(void* opened, std::size_t pieces, std::int64_t batches,
                                        double* took) {
  return gpu::told(slipstream::libtorch::guarded("the pipeline", [&] {
    return gpu::time_overlap(*static_cast<gpu::Opened*>(opened)->replay, pieces, batches, took);
  }));
}

// Nanoseconds a batch of so many bytes: bare copy in, gather, both by the pipeline.
SLIPSTREAM_BENCH_API bool bench_bandwidth(int ordinal, std::size_t bytes, std::size_t pieces,
                                          std::int64_t batches, double* took) {
  return gpu::told(slipstream::libtorch::guarded(
      "the pipeline", [&] { return gpu::time_bandwidth(ordinal, bytes, pieces, batches, took); }));
}
