// The pipeline of csrc/device on CUDA's driver, as the fake has it: batches that overlap, graphs,
// and a context that is lost. The fake refuses whatever is done without the context, or on a thread
// that has not entered it.
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_fixture.h"
#include "device/device_instance.h"
#include "device/graphed_computation.h"

using namespace slipstream;
using namespace slipstream::cuda;
using device::Computation;
using device::DeviceInstance;
using device::Entered;
using device::GraphedComputation;
using device::GraphOptions;
using device::Slot;

namespace {

ModelSpec negating_spec() {
  ModelSpec spec;
  spec.inputs = {{.name = "x", .dtype = DType::kInt32, .dims = {-1, 4}}};
  spec.outputs = {{.name = "y", .dtype = DType::kInt32, .dims = {-1, 4}}};
  spec.batchable = true;
  return spec;
}

// y = -x, by a kernel of the fake's.
class Negating final : public Computation {
 public:
  explicit Negating(CudaDevice& device) : device_(device) { must(Negating::build()); }
  ~Negating() override {
    const Entered entered(device_);
    Negating::tear_down();
  }

  device::Stream& stream() noexcept override { return *stream_; }
  Status enqueue(Slot& slot) noexcept override {
    const Slot::Input& in = slot.inputs()[0];
    const Result<void*> out = slot.place_output(0, in.shape);
    if (!out.is_ok()) return out.status();
    if (allocates) {
      // What libraries do the first time; nothing that is recorded may.
      if (Status status = device_.allocate(64).status(); !status.is_ok()) return status;
    }
    jobs_.push_back(std::make_unique<Job>(Job{static_cast<const std::int32_t*>(in.address),
                                              static_cast<std::int32_t*>(out.value()),
                                              static_cast<std::size_t>(in.shape.elements())}));
    launch(*stream_, &Job::run, jobs_.back().get());
    return Status::ok();
  }
  void tear_down() noexcept override { stream_.reset(); }
  Status build() noexcept override {
    const Entered entered(device_);
    auto made = device_.create_stream();
    if (!made.is_ok()) return made.status();
    stream_ = std::move(made).value();
    return Status::ok();
  }

  bool allocates = false;

 private:
  struct Job {
    const std::int32_t* from;
    std::int32_t* to;
    std::size_t count;

    static void run(void* job) {
      const Job& self = *static_cast<Job*>(job);
      for (std::size_t i = 0; i < self.count; ++i) self.to[i] = -self.from[i];
    }
  };

  CudaDevice& device_;
  std::unique_ptr<device::Stream> stream_;
  std::vector<std::unique_ptr<Job>> jobs_;
};

struct Fixture {
  std::shared_ptr<CudaDevice> device = open_fake();
  Negating* negating = nullptr;
  GraphedComputation* graphed = nullptr;
  std::unique_ptr<Instance> instance;
  std::int32_t next = 1;

  Fixture() {
    auto inner = std::make_unique<Negating>(*device);
    negating = inner.get();
    auto computation = std::make_unique<GraphedComputation>(std::move(inner), GraphOptions{});
    graphed = computation.get();
    instance = must(DeviceInstance::create(device, std::move(computation), negating_spec(),
                                           {.slots = 3, .answers_bytes = kFakeBytes / 4}));
  }

  Tensor rows(std::int64_t count) {
    Tensor tensor = Tensor::allocate(DType::kInt32, {count, 4});
    for (std::int32_t& value : tensor.as<std::int32_t>()) value = next++;
    return tensor;
  }

  // One after the other, three at a time; the status of the last.
  Status run(std::int64_t count, int batches = 9) {
    PipelinedInstance& pipelined = *instance->pipelined();
    std::vector<std::vector<Tensor>> inputs;
    std::size_t ended = 0;
    Status how;
    const auto take = [&] {
      std::vector<Tensor> outputs;
      while (!pipelined.poll(how, outputs)) std::this_thread::yield();
      const auto sent = inputs[ended++].front().as<std::int32_t>();
      if (!how.is_ok()) return;
      const auto got = outputs.at(0).as<std::int32_t>();
      REQUIRE(got.size() == sent.size());
      for (std::size_t i = 0; i < got.size(); ++i) CHECK_EQ(got[i], -sent[i]);
    };
    inputs.reserve(static_cast<std::size_t>(batches));
    for (int i = 0; i < batches; ++i) {
      if (inputs.size() - ended == pipelined.depth()) take();
      inputs.push_back({rows(count)});
      const Piece piece{.inputs = inputs.back(), .begin_row = 0, .end_row = count};
      pipelined.begin({.pieces = {&piece, 1}, .rows = count});
    }
    while (ended < inputs.size()) take();
    return how;
  }
};

}  // namespace

TEST(batches_go_through_in_order) {
  Fixture fixture;
  for (std::int64_t rows = 1; rows <= 9; ++rows) CHECK(fixture.run(rows).is_ok());
  CHECK(fixture.graphed->graphs() > 0);
  CHECK_EQ(fake_cuda_entered(), 0);
}

TEST(nothing_that_may_block_is_called_once_all_has_grown) {
  Fixture fixture;
  CHECK(fixture.run(8).is_ok());
  const std::uint64_t blocking = fake_cuda_blocking_calls();
  const std::uint64_t pageable = fake_cuda_pageable_copies();
  CHECK(fixture.run(8, 50).is_ok());
  CHECK(fixture.run(8, 50).is_ok());
  CHECK_EQ(fake_cuda_blocking_calls(), blocking);
  CHECK_EQ(fake_cuda_pageable_copies(), pageable);
}

TEST(rows_that_are_expected_find_room) {
  Fixture fixture;
  fixture.instance->pipelined()->expect_rows(8);
  const std::uint64_t blocking = fake_cuda_blocking_calls();
  for (const std::int64_t rows : {1, 8, 3}) CHECK(fixture.run(rows).is_ok());
  CHECK_EQ(fake_cuda_blocking_calls(), blocking);
}

TEST(an_instance_that_ends_leaves_what_others_record_alone) {
  Fixture fixture;
  auto ending = std::make_unique<Fixture>();
  CHECK(ending->run(2).is_ok());
  const Entered entered(*fixture.device);
  const auto stream = must(fixture.device->create_stream());
  REQUIRE(stream->begin_capture().is_ok());
  std::thread([&ending] {
    const Tensor rows = ending->rows(1);
    const Piece piece{.inputs = {&rows, 1}, .begin_row = 0, .end_row = 1};
    ending->instance->pipelined()->begin({.pieces = {&piece, 1}, .rows = 1});
    ending.reset();
  }).join();
  CHECK(stream->end_capture().is_ok());
}

TEST(what_allocates_is_not_recorded_and_computed_all_the_same) {
  Fixture fixture;
  fixture.negating->allocates = true;
  for (int i = 0; i < 3; ++i) CHECK(fixture.run(2).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 0U);
  CHECK(!fixture.graphed->gave_up().is_ok());
}

TEST(a_batch_for_which_there_is_no_memory_fails_alone) {
  Fixture fixture;
  CHECK(fixture.run(2).is_ok());
  CHECK_EQ(fixture.run(100'000, 1).code(), StatusCode::kResourceExhausted);
  CHECK(fixture.run(2).is_ok());
}

TEST(a_lost_context_is_made_anew_where_nobody_else_has_it) {
  Fixture fixture;
  CHECK(fixture.run(3).is_ok());
  fake_cuda_break_after(0, 5, CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(tells_loss(fixture.run(3), "CUDA_ERROR_ILLEGAL_ADDRESS"));
  CHECK(fixture.run(3).is_ok());
  CHECK_EQ(fixture.instance->restarts(), 1U);
}

TEST(a_lost_context_that_others_have_fails_everything_until_the_process_restarts) {
  Fixture fixture;
  CHECK(fixture.run(3).is_ok());
  fake_cuda_stranger(0, true);
  fake_cuda_break(0, CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(tells_loss(fixture.run(3), "restart the process"));
  CHECK(tells_loss(fixture.run(3), "restart the process"));
  CHECK_EQ(fixture.instance->restarts(), 0U);
  CHECK_EQ(fixture.instance->health().code(), StatusCode::kUnavailable);
  fixture.instance.reset();
  fixture.device.reset();
  fake_cuda_stranger(0, false);
}

TEST(nothing_is_left) {
  CHECK_EQ(fake_cuda_objects(), 0);
  CHECK_EQ(fake_cuda_entered(), 0);
}
