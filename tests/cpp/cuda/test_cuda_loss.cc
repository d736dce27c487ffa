// A device that is lost: everybody is told, nothing crashes, and what can be had back.
#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "cuda_fixture.h"

using namespace slipstream;
using namespace slipstream::cuda;
using device::Entered;

namespace {

constexpr std::string_view kCause = "CUDA_ERROR_ILLEGAL_ADDRESS";

// One of everything.
struct Things {
  explicit Things(CudaDevice& device)
      : stream(must(device.create_stream())),
        event(must(device.create_event(device::Timing::kTimed))),
        block(must(device.allocate(64))),
        pinned(must(device.allocate_pinned(64))) {}

  std::unique_ptr<device::Stream> stream;
  std::unique_ptr<device::Event> event;
  std::unique_ptr<device::Block> block;
  std::unique_ptr<device::Block> pinned;
};

void break_it(CudaDevice& device) {
  fake_cuda_break(device.properties().index, CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(tells_loss(device.memory().status(), kCause));
}

// A copy there and back gives what it should.
bool works(CudaDevice& device) {
  const Things things(device);
  auto* const bytes = static_cast<unsigned char*>(things.pinned->address());
  std::fill(bytes, bytes + 64, 7);
  must(things.stream->copy_to_device(things.block->address(), bytes, 64));
  must(things.stream->call([](void* memory) noexcept { *static_cast<unsigned char*>(memory) = 0; },
                           bytes));
  must(things.stream->copy_to_host(bytes, things.block->address(), 64));
  must(things.stream->record(*things.event));
  must(wait_for(*things.event));
  return std::all_of(bytes, bytes + 64, [](unsigned char byte) { return byte == 7; });
}

}  // namespace

TEST(everything_tells_of_a_loss) {
  const auto device = open_fake();
  const Entered entered(*device);
  Things things(*device);
  must(things.stream->record(*things.event));
  must(wait_for(*things.event));
  break_it(*device);
  const Status health = device->health();
  CHECK(tells_loss(health, "the device is lost: cuda:0: cuMemGetInfo: CUDA_ERROR_ILLEGAL_ADDRESS"));
  CHECK(tells_loss(health, "restart the process"));
  void* const there = things.block->address();
  void* const here = things.pinned->address();
  std::atomic<bool> was_called{false};
  for (const Status& status :
       {things.stream->copy_to_device(there, here, 64),
        things.stream->copy_to_host(here, there, 64), things.stream->copy_to_host(here, there, 0),
        things.stream->record(*things.event), things.stream->wait(*things.event),
        things.stream->call(
            [](void* flag) noexcept { static_cast<std::atomic<bool>*>(flag)->store(true); },
            &was_called),
        things.event->is_done().status(), things.event->since(*things.event).status(),
        device->allocate(1).status(), device->allocate_pinned(1).status(),
        device->create_stream().status(), device->create_stream().status(),
        device->create_event(device::Timing::kNone).status(), device->memory().status()}) {
    CHECK_EQ(status.code(), health.code());
    CHECK_EQ(status.message(), health.message());
  }
  device->drain();
  CHECK(!was_called.load());
}

TEST(a_loss_on_the_device_is_seen_by_who_waits) {
  const auto device = open_fake();
  const Entered entered(*device);
  Things things(*device);
  std::atomic<int> calls{0};
  fake_cuda_break_after(0, 2, CUDA_ERROR_LAUNCH_FAILED);
  for (int i = 0; i < 5; ++i) {
    const Status put = things.stream->call(
        [](void* seen) noexcept { static_cast<std::atomic<int>*>(seen)->fetch_add(1); }, &calls);
    if (!put.is_ok()) CHECK(tells_loss(put, "CUDA_ERROR_LAUNCH_FAILED"));
  }
  static_cast<void>(things.stream->record(*things.event));
  device->drain();
  CHECK(tells_loss(device->health(), "CUDA_ERROR_LAUNCH_FAILED"));
  CHECK(tells_loss(things.event->is_done().status(), "CUDA_ERROR_LAUNCH_FAILED"));
  CHECK_EQ(calls.load(), 2);  // what was on the stream is dropped
}

TEST(the_first_cause_is_kept) {
  const auto device = open_fake();
  const Entered entered(*device);
  break_it(*device);
  fake_cuda_break(0, CUDA_ERROR_ECC_UNCORRECTABLE);
  device->drain();
  CHECK(tells_loss(device->health(), kCause));
}

TEST(other_devices_stay_well) {
  const auto lost = open_fake(0);
  const auto well = open_fake(1);
  const Entered outer(*lost);
  break_it(*lost);
  const Entered inner(*well);
  CHECK(well->health().is_ok());
  CHECK(works(*well));
}

TEST(who_opens_a_lost_device_learns_of_it) {
  const auto device = open_fake();
  const Entered entered(*device);
  break_it(*device);
  CHECK(tells_loss(open_fake()->health(), kCause));
}

TEST(many_threads_are_told_the_same) {
  const auto device = open_fake();
  std::vector<std::thread> threads;
  std::atomic<int> told{0};
  std::latch made(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Entered entered(*device);
      Things things(*device);
      made.count_down();
      Status status;
      while (status.is_ok()) status = things.stream->record(*things.event);
      if (tells_loss(status, kCause) && tells_loss(device->health(), kCause)) told.fetch_add(1);
    });
  }
  made.wait();
  fake_cuda_break(0, CUDA_ERROR_ILLEGAL_ADDRESS);
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(told.load(), 4);
}

TEST(it_comes_back_when_nobody_else_uses_it) {
  const auto device = open_fake();
  const int contexts = fake_cuda_contexts(0);
  const Entered entered(*device);
  {
    const Things things(*device);
    break_it(*device);
    const Status early = device->recover();
    CHECK(tells_loss(early, "cannot be recovered yet: 4 streams, events and blocks of before"));
  }
  {
    const Entered twice(*device);
    CHECK(tells_loss(device->recover(), "and 1 others to leave it, first"));
  }
  CHECK(tells_loss(device->health(), kCause));
  must(device->recover());
  CHECK(device->health().is_ok());
  CHECK_EQ(fake_cuda_contexts(0), contexts + 1);
  CHECK_EQ(fake_cuda_retained(0), 1);
  CHECK_EQ(fake_cuda_entered(), 1);
  CHECK(works(*device));
  CHECK_EQ(fake_cuda_objects(), 0);
}

TEST(a_context_that_others_hold_is_left_to_them) {
  const auto device = open_fake();
  const int contexts = fake_cuda_contexts(0);
  fake_cuda_stranger(0, true);
  const Entered entered(*device);
  break_it(*device);
  const Status refused = device->recover();
  CHECK(tells_loss(refused, "cuda:0 stays lost: other libraries hold its context"));
  CHECK(tells_loss(refused, "restart the process"));
  CHECK(tells_loss(device->health(), kCause));
  CHECK_EQ(fake_cuda_contexts(0), contexts);
  CHECK_EQ(fake_cuda_retained(0), 2);
  CHECK_EQ(fake_cuda_entered(), 1);
  fake_cuda_stranger(0, false);
  must(device->recover());
  CHECK(works(*device));
}

TEST(a_device_that_a_new_context_does_not_help_stays_lost) {
  const auto device = open_fake();
  const Entered entered(*device);
  break_it(*device);
  fake_cuda_break_new_contexts(CUDA_ERROR_ECC_UNCORRECTABLE);
  const Status refused = device->recover();
  fake_cuda_break_new_contexts(CUDA_SUCCESS);
  CHECK(tells_loss(refused, "cuda:0 stays lost: CUDA_ERROR_ECC_UNCORRECTABLE"));
  CHECK(tells_loss(device->health(), kCause));
  must(device->recover());
  CHECK(works(*device));
}

TEST(a_reset_by_others_is_a_loss) {
  const auto device = open_fake();
  {
    const Entered entered(*device);
    {
      const Things things(*device);
      fake_cuda_reset(0);
      CHECK(tells_loss(things.stream->record(*things.event), "CUDA_ERROR_CONTEXT_IS_DESTROYED"));
    }
    // Entering it now fails, and leaving takes nothing from the thread that was there before.
    const auto other = open_fake(1);
    const Entered around(*other);
    {
      const Entered again(*device);
      CHECK_EQ(fake_cuda_entered(), 2);
    }
    CHECK_EQ(fake_cuda_entered(), 2);
    CHECK(works(*other));
  }
  const Entered entered(*device);
  must(device->recover());
  CHECK_EQ(fake_cuda_entered(), 1);
  CHECK(works(*device));
}

TEST(it_ends_quietly_when_the_driver_has_ended) {
  auto device = open_fake();
  {
    const Entered entered(*device);
    const Things things(*device);
    fake_cuda_deinitialize(true);
    CHECK(tells_loss(things.stream->record(*things.event), "CUDA_ERROR_DEINITIALIZED"));
  }
  device.reset();
  fake_cuda_deinitialize(false);
}
