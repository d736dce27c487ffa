// Every function of a device on the fake driver, while the device is well.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "cuda_fixture.h"

using namespace slipstream;
using namespace slipstream::cuda;
using device::Entered;
using device::Timing;

namespace {

// A device that doubles every byte, on three streams as the pipeline of an instance has them.
class Doubler {
 public:
  static constexpr std::size_t kBytes = 4096;
  static constexpr std::size_t kSlots = 3;

  explicit Doubler(CudaDevice& device) {
    for (Slot& slot : slots_) {
      slot.in = must(device.allocate_pinned(kBytes));
      slot.out = must(device.allocate_pinned(kBytes));
      slot.on_device = must(device.allocate(kBytes));
      slot.has_input = must(device.create_event());
      slot.has_output = must(device.create_event());
      slot.is_done = must(device.create_event());
    }
    copy_in_ = must(device.create_stream());
    compute_ = must(device.create_stream());
    copy_out_ = must(device.create_stream());
  }

  void start(std::size_t batch) {
    Slot& slot = slots_[batch % kSlots];
    std::memset(slot.in->address(), static_cast<int>(batch % 100), kBytes);
    must(copy_in_->copy_to_device(slot.on_device->address(), slot.in->address(), kBytes));
    must(copy_in_->record(*slot.has_input));
    must(compute_->wait(*slot.has_input));
    launch(*compute_, &run, slot.on_device->address());
    must(compute_->record(*slot.has_output));
    must(copy_out_->wait(*slot.has_output));
    must(copy_out_->copy_to_host(slot.out->address(), slot.on_device->address(), kBytes));
    must(copy_out_->record(*slot.is_done));
  }

  bool finish(std::size_t batch) {
    Slot& slot = slots_[batch % kSlots];
    must(wait_for(*slot.is_done));
    const auto* const bytes = static_cast<const std::uint8_t*>(slot.out->address());
    return std::all_of(bytes, bytes + kBytes,
                       [&](std::uint8_t byte) { return byte == batch % 100 * 2; });
  }

 private:
  struct Slot {
    std::unique_ptr<device::Block> in;
    std::unique_ptr<device::Block> out;
    std::unique_ptr<device::Block> on_device;
    std::unique_ptr<device::Event> has_input;
    std::unique_ptr<device::Event> has_output;
    std::unique_ptr<device::Event> is_done;
  };

  static void run(void* memory) {
    auto* const bytes = static_cast<std::uint8_t*>(memory);
    for (std::size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<std::uint8_t>(bytes[i] * 2);
  }

  std::array<Slot, kSlots> slots_;
  std::unique_ptr<device::Stream> copy_in_;
  std::unique_ptr<device::Stream> compute_;
  std::unique_ptr<device::Stream> copy_out_;
};

}  // namespace

TEST(what_it_is) {
  const auto device = open_fake(1);
  CHECK_EQ(device->name(), std::string("Fake H100 (cuda:1)"));
  CHECK_EQ(device->properties().copy_engines, 3);
  CHECK_EQ(device->properties().total_bytes, kFakeBytes);
  CHECK(device->health().is_ok());
  CHECK(device->recover().is_ok());
}

TEST(those_who_hold_it_hold_the_same_one) {
  auto device = open_fake();
  auto again = open_fake();
  CHECK_EQ(device.get(), again.get());
  CHECK_EQ(fake_cuda_retained(0), 1);
  device.reset();
  CHECK_EQ(fake_cuda_retained(0), 1);
  again.reset();
  CHECK_EQ(fake_cuda_retained(0), 0);
}

TEST(what_was_made_outlives_it) {
  auto device = open_fake();
  std::unique_ptr<device::Block> block;
  {
    const Entered entered(*device);
    block = must(device->allocate(64));
  }
  device.reset();
  CHECK_EQ(fake_cuda_retained(0), 1);
  block.reset();
  CHECK_EQ(fake_cuda_objects(), 0);
  CHECK_EQ(fake_cuda_retained(0), 0);
  CHECK_EQ(fake_cuda_entered(), 0);
}

TEST(destroying_enters_by_itself) {
  const auto device = open_fake();
  std::vector<std::unique_ptr<device::Block>> blocks;
  std::unique_ptr<device::Stream> stream;
  std::unique_ptr<device::Event> event;
  {
    const Entered entered(*device);
    blocks.push_back(must(device->allocate(64)));
    blocks.push_back(must(device->allocate_pinned(64)));
    stream = must(device->create_stream());
    event = must(device->create_event());
  }
  CHECK_EQ(fake_cuda_objects(), 4);
  blocks.clear();
  stream.reset();
  event.reset();
  CHECK_EQ(fake_cuda_objects(), 0);
  CHECK_EQ(fake_cuda_entered(), 0);
}

TEST(memory) {
  const auto device = open_fake();
  const Entered entered(*device);
  CHECK_EQ(must(device->memory()).total_bytes, kFakeBytes);
  CHECK_EQ(must(device->memory()).free_bytes, kFakeBytes);
  const auto block = must(device->allocate(1000));
  CHECK_EQ(block->bytes(), std::size_t{1000});
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(block->address()) % 256, std::uintptr_t{0});
  CHECK_EQ(must(device->memory()).free_bytes, kFakeBytes - 1000);
  const auto pinned = must(device->allocate_pinned(1000));
  std::memset(pinned->address(), 1, pinned->bytes());
  CHECK_EQ(must(device->memory()).free_bytes, kFakeBytes - 1000);
  for (const auto& empty :
       {must(device->allocate(0)).get(), must(device->allocate_pinned(0)).get()})
    CHECK(empty != nullptr);
}

TEST(memory_that_is_not_there) {
  const auto device = open_fake();
  const Entered entered(*device);
  const Status on_device = device->allocate(kFakeBytes + 1).status();
  CHECK_EQ(on_device.code(), StatusCode::kResourceExhausted);
  CHECK_EQ(on_device.message(),
           "cuda:0: cuMemAlloc of 1048577 bytes: CUDA_ERROR_OUT_OF_MEMORY (as the fake driver puts "
           "it); use fewer or smaller models or batches on this device");
  const Status on_host = device->allocate_pinned(kFakeBytes + 1).status();
  CHECK_EQ(on_host.code(), StatusCode::kResourceExhausted);
  CHECK(on_host.message().find("cuMemHostAlloc of 1048577 bytes") != std::string::npos);
  CHECK(device->health().is_ok());
  CHECK(device->allocate(kFakeBytes).is_ok());
  CHECK(device->allocate_pinned(kFakeBytes).is_ok());
}

TEST(a_thread_that_has_not_entered_is_told) {
  const auto device = open_fake();
  std::unique_ptr<device::Stream> stream;
  {
    const Entered entered(*device);
    stream = must(device->create_stream());
  }
  for (const Status& status :
       {device->allocate(1).status(), device->create_stream().status(), device->memory().status(),
        stream->call([](void*) noexcept {}, nullptr)}) {
    CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
    CHECK(status.message().find("enter the device first") != std::string::npos);
  }
  CHECK(device->health().is_ok());
}

TEST(devices_are_entered_in_each_other) {
  const auto first = open_fake(0);
  const auto second = open_fake(1);
  const Entered outer(*first);
  const auto on_first = must(first->allocate(100));
  {
    const Entered inner(*second);
    const Entered again(*second);
    CHECK_EQ(fake_cuda_entered(), 3);
    const auto on_second = must(second->allocate(300));
    CHECK_EQ(must(second->memory()).free_bytes, kFakeBytes - 300);
  }
  CHECK_EQ(fake_cuda_entered(), 1);
  CHECK_EQ(must(first->memory()).free_bytes, kFakeBytes - 100);
}

TEST(streams_do_not_wait_for_the_default_one) {
  const auto device = open_fake();
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  const auto handle = static_cast<CUstream>(stream->native());
  CHECK_EQ(fake_cuda_stream_flags(handle), static_cast<unsigned>(CU_STREAM_NON_BLOCKING));
}

TEST(events) {
  const auto device = open_fake();
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  const auto other = must(device->create_stream());
  const auto event = must(device->create_event());
  const auto after = must(device->create_event());
  CHECK(!must(event->is_done()));  // never recorded
  must(stream->wait(*event));      // and so nothing to wait for
  Gate gate;
  launch(*stream, &Gate::wait, &gate);
  must(stream->record(*event));
  must(other->wait(*event));
  must(other->record(*after));
  CHECK(!must(event->is_done()));
  CHECK(!must(after->is_done()));
  gate.is_open = true;
  must(wait_for(*after));
  CHECK(must(event->is_done()));
}

TEST(time_between_events) {
  const auto device = open_fake();
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  const auto begin = must(device->create_event(Timing::kTimed));
  const auto end = must(device->create_event(Timing::kTimed));
  const auto untimed = must(device->create_event());
  CHECK_EQ(end->since(*begin).status().code(), StatusCode::kFailedPrecondition);
  Gate gate;
  must(stream->record(*begin));
  must(stream->record(*untimed));
  launch(*stream, &Gate::wait, &gate);
  must(stream->record(*end));
  CHECK_EQ(end->since(*begin).status().code(), StatusCode::kFailedPrecondition);
  gate.is_open = true;
  must(wait_for(*end));
  const Nanoseconds elapsed_ns = must(end->since(*begin));
  CHECK(elapsed_ns >= 0);
  CHECK_EQ(must(begin->since(*end)), -elapsed_ns);
  CHECK_EQ(end->since(*untimed).status().code(), StatusCode::kFailedPrecondition);
  CHECK_EQ(untimed->since(*begin).status().code(), StatusCode::kFailedPrecondition);
}

TEST(calls_come_in_their_turn) {
  const auto device = open_fake();
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  const auto done = must(device->create_event());
  struct Turns {
    Gate gate;
    std::atomic<int> calls{0};
    int calls_seen = -1;
  } turns;
  launch(*stream, &Gate::wait, &turns.gate);
  must(stream->call([](void* seen) noexcept { static_cast<Turns*>(seen)->calls.fetch_add(1); },
                    &turns));
  launch(
      *stream,
      [](void* seen) {
        static_cast<Turns*>(seen)->calls_seen = static_cast<Turns*>(seen)->calls.load();
      },
      &turns);
  must(stream->record(*done));
  CHECK_EQ(turns.calls.load(), 0);
  turns.gate.is_open = true;
  must(wait_for(*done));
  CHECK_EQ(turns.calls_seen, 1);
}

TEST(wrong_arguments_are_told_and_harm_nothing) {
  const auto device = open_fake();
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  const auto block = must(device->allocate(64));
  const auto pinned = must(device->allocate_pinned(128));
  const Status too_long = stream->copy_to_device(block->address(), pinned->address(), 128);
  CHECK_EQ(too_long.code(), StatusCode::kInvalidArgument);
  CHECK(too_long.message().starts_with("cuda:0: cuMemcpyHtoDAsync: CUDA_ERROR_INVALID_VALUE"));
  CHECK_EQ(stream->copy_to_host(block->address(), pinned->address(), 64).code(),
           StatusCode::kInvalidArgument);
  must(stream->copy_to_device(block->address(), pinned->address(), 0));
  must(stream->copy_to_device(block->address(), pinned->address(), 64));
  device->drain();
  CHECK(device->health().is_ok());
}

TEST(events_of_other_devices_are_refused) {
  struct Foreign final : device::Event {
    Result<bool> is_done() noexcept override { return true; }
    Result<Nanoseconds> since(device::Event& /*earlier*/) noexcept override { return 0; }
  } foreign;
  const auto device = open_fake(0);
  const auto other = open_fake(1);
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  const auto event = must(device->create_event());
  for (const Status& status :
       {stream->record(foreign), stream->wait(foreign), event->since(foreign).status()}) {
    CHECK_EQ(status.code(), StatusCode::kInvalidArgument);
  }
  const Entered inner(*other);
  const auto event_of_other = must(other->create_event());
  const auto stream_of_other = must(other->create_stream());
  CHECK_EQ(stream_of_other->record(*event).code(), StatusCode::kInvalidArgument);
  must(stream_of_other->record(*event_of_other));
}

TEST(drain_waits_for_everything) {
  const auto device = open_fake();
  const Entered entered(*device);
  const auto stream = must(device->create_stream());
  std::atomic<int> calls{0};
  for (int i = 0; i < 50; ++i) {
    must(stream->call(
        [](void* seen) noexcept { static_cast<std::atomic<int>*>(seen)->fetch_add(1); }, &calls));
  }
  device->drain();
  CHECK_EQ(calls.load(), 50);
}

TEST(batches_overlap_and_keep_their_order) {
  const auto device = open_fake();
  {
    const Entered entered(*device);
    Doubler doubler(*device);
    const std::uint64_t blocking = fake_cuda_blocking_calls();
    constexpr std::size_t kBatches = 200;
    for (std::size_t batch = 0; batch < kBatches; ++batch) {
      if (batch >= Doubler::kSlots) CHECK(doubler.finish(batch - Doubler::kSlots));
      doubler.start(batch);
    }
    for (std::size_t batch = kBatches - Doubler::kSlots; batch < kBatches; ++batch)
      CHECK(doubler.finish(batch));
    CHECK_EQ(fake_cuda_blocking_calls(), blocking);  // nothing on this path may wait
  }
  CHECK_EQ(fake_cuda_objects(), 0);
  CHECK_EQ(fake_cuda_entered(), 0);
}

TEST(several_threads_use_devices_at_once) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&right, i] {
      const auto device = open_fake(i % 2);
      const Entered entered(*device);
      Doubler doubler(*device);
      for (std::size_t batch = 0; batch < 30; ++batch) {
        doubler.start(batch);
        if (doubler.finish(batch)) right.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(right.load(), 4 * 30);
  CHECK_EQ(fake_cuda_objects(), 0);
  CHECK_EQ(fake_cuda_retained(0) + fake_cuda_retained(1), 0);
}
