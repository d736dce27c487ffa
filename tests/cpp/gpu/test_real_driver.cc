// csrc/cuda and the pipeline on a real GPU: what the tests on drivers of their own take for granted
// of CUDA. No kernel is needed: the computation copies what it was given to its answer, by way of
// the host.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/cuda_device.h"
#include "device/device_instance.h"
#include "device/graphed_computation.h"
#include "harness.h"
#include "must.h"

using namespace slipstream;
using namespace slipstream::device;
using slipstream::testing::must;

namespace {

constexpr int kSkipped = 77;  // as CMakeLists.txt has it
constexpr std::int64_t kWidth = 1000;

// Once, and before anything is tested: the process ends where there is no GPU.
const std::shared_ptr<cuda::CudaDevice>& gpu() {
  static const std::shared_ptr<cuda::CudaDevice> device = [] {
    Result<std::shared_ptr<cuda::CudaDevice>> opened = cuda::CudaDevice::open(0);
    if (!opened.is_ok()) {
      std::cout << "skipped: " << opened.status().message() << std::endl;
      std::_Exit(kSkipped);
    }
    std::cout << opened.value()->name() << '\n';
    return std::move(opened).value();
  }();
  return device;
}

ModelSpec echo_spec() {
  ModelSpec spec;
  spec.inputs = {{.name = "x", .dtype = DType::kInt32, .dims = {-1, kWidth}}};
  spec.outputs = {{.name = "y", .dtype = DType::kInt32, .dims = {-1, kWidth}}};
  spec.batchable = true;
  return spec;
}

// y = x. One stream orders its batches, so one block on the host serves them all.
class Echo final : public Computation {
 public:
  explicit Echo(Device& device) : device_(device) { must(Echo::build()); }
  ~Echo() override {
    const Entered entered(device_);
    Echo::tear_down();
  }

  Stream& stream() noexcept override { return *stream_; }
  Status enqueue(Slot& slot) noexcept override {
    const Slot::Input& in = slot.inputs()[0];
    const Result<void*> out = slot.place_output(0, in.shape);
    if (!out.is_ok()) return out.status();
    const std::size_t bytes = static_cast<std::size_t>(in.shape.elements()) * sizeof(std::int32_t);
    Status status = stream_->copy_to_host(host_->address(), in.address, bytes);
    if (status.is_ok()) status = stream_->copy_to_device(out.value(), host_->address(), bytes);
    return status;
  }
  void tear_down() noexcept override {
    host_.reset();
    stream_.reset();
  }
  Status build() noexcept override {
    const Entered entered(device_);
    Result<std::unique_ptr<Stream>> stream = device_.create_stream();
    if (!stream.is_ok()) return stream.status();
    stream_ = std::move(stream).value();
    Result<std::unique_ptr<Block>> host = device_.allocate_pinned(std::size_t{64} << 20U);
    if (!host.is_ok()) return host.status();
    host_ = std::move(host).value();
    return Status::ok();
  }

 private:
  Device& device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Block> host_;
};

struct Fixture {
  GraphedComputation* graphed = nullptr;
  std::unique_ptr<Instance> instance;
  std::int32_t next = 1;

  Fixture() {
    auto computation =
        std::make_unique<GraphedComputation>(std::make_unique<Echo>(*gpu()), GraphOptions{});
    graphed = computation.get();
    instance = must(DeviceInstance::create(gpu(), std::move(computation), echo_spec(), {}));
  }

  // So many batches, as many at once as there may be, each compared.
  void run(std::int64_t rows, std::size_t batches, std::size_t at_once) {
    PipelinedInstance& pipelined = *instance->pipelined();
    std::vector<std::vector<Tensor>> sent;
    sent.reserve(batches);
    for (std::size_t ended = 0; ended < batches;) {
      if (sent.size() < batches && sent.size() - ended < at_once) {
        sent.push_back({Tensor::allocate(DType::kInt32, {rows, kWidth})});
        for (std::int32_t& value : sent.back().front().as<std::int32_t>()) value = next++;
        const Piece piece{.inputs = sent.back(), .begin_row = 0, .end_row = rows};
        pipelined.begin({.pieces = {&piece, 1}, .rows = rows});
      }
      Status how;
      std::vector<Tensor> outputs;
      if (!pipelined.poll(how, outputs)) continue;
      must(how);
      const Tensor& want = sent[ended++].front();
      REQUIRE(outputs.at(0).shape() == want.shape());
      CHECK(std::memcmp(outputs[0].data(), want.data(), want.bytes()) == 0);
    }
  }
};

}  // namespace

TEST(memory_and_copies) {
  const Entered entered(*gpu());
  const auto stream = must(gpu()->create_stream());
  const auto done = must(gpu()->create_event());
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{8} << 20U}) {
    const auto from = must(gpu()->allocate_pinned(bytes));
    const auto there = must(gpu()->allocate(bytes));
    const auto to = must(gpu()->allocate_pinned(bytes));
    std::memset(from->address(), 0x5A, bytes);
    std::memset(to->address(), 0, bytes);
    must(stream->copy_to_device(there->address(), from->address(), bytes));
    must(stream->copy_to_host(to->address(), there->address(), bytes));
    must(stream->record(*done));
    must(wait_for(*done));
    CHECK(std::memcmp(from->address(), to->address(), bytes) == 0);
  }
}

TEST(events_order_streams_and_tell_the_time) {
  const Entered entered(*gpu());
  const auto first = must(gpu()->create_stream());
  const auto second = must(gpu()->create_stream());
  const auto begin = must(gpu()->create_event(Timing::kTimed));
  const auto end = must(gpu()->create_event(Timing::kTimed));
  constexpr std::size_t kBytes = std::size_t{32} << 20U;
  const auto host = must(gpu()->allocate_pinned(kBytes));
  const auto there = must(gpu()->allocate(kBytes));
  must(first->record(*begin));
  must(first->copy_to_device(there->address(), host->address(), kBytes));
  must(first->record(*end));
  const auto last = must(gpu()->create_event());
  must(second->wait(*end));
  must(second->record(*last));
  must(wait_for(*last));
  CHECK(must(end->is_done()));
  CHECK(must(end->since(*begin)) > 0);
}

TEST(calls_come_behind_what_they_follow) {
  const Entered entered(*gpu());
  const auto stream = must(gpu()->create_stream());
  std::atomic<bool> was_called{false};
  must(stream->call([](void* flag) noexcept { static_cast<std::atomic<bool>*>(flag)->store(true); },
                    &was_called));
  const auto done = must(gpu()->create_event());
  must(stream->record(*done));
  must(wait_for(*done));
  CHECK(was_called.load());
}

TEST(batches_one_by_one_and_overlapping) {
  Fixture fixture;
  for (const std::int64_t rows :
       {200, 1, 3, 16}) {  // the largest first: graphs go when memory grows
    fixture.run(rows, 20, 1);
    fixture.run(rows, 50, fixture.instance->pipelined()->depth());
  }
  CHECK(fixture.graphed->gave_up().is_ok());
  CHECK(fixture.graphed->graphs() > 0);
}

TEST(large_batches_are_gathered_by_several) {
  Fixture fixture;
  fixture.run(4000, 6, 3);  // 16 MB each
}

TEST(threads_share_the_device) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 3; ++round) {  // instances come and go while others record
        Fixture fixture;
        for (const std::int64_t rows : {1, 2, 5, 9}) fixture.run(rows, 20, 3);
        CHECK(fixture.graphed->gave_up().is_ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(gpu()->health().is_ok());
}

TEST(what_does_not_fit_is_refused_and_harms_nothing) {
  const Entered entered(*gpu());
  const Result<std::unique_ptr<Block>> block = gpu()->allocate(std::size_t{1} << 46U);
  REQUIRE(!block.is_ok());
  CHECK_EQ(block.status().code(), StatusCode::kResourceExhausted);
  CHECK(gpu()->health().is_ok());
  Fixture fixture;
  fixture.run(2, 3, 1);
}
