// The slab of requests: its bound, tickets that outlive their request, early answers and deadlines.
#include "core/request_pool.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "core/deadline_timer.h"
#include "harness.h"
#include "recording_sink.h"

namespace slipstream {
namespace {

using testing::RecordingSink;

struct Fixture {
  RequestPool pool{4};
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();

  // A request as admission leaves it: one reference, held by the caller.
  Request* admit(std::uint64_t tag, Ticket* ticket = nullptr, Nanoseconds deadline = kNoDeadline) {
    Request* const request = pool.acquire();
    if (request == nullptr) return nullptr;
    request->sink = sink;
    request->tag = tag;
    request->accepted_ns = 1;
    const Ticket opened = pool.open(*request);
    if (ticket != nullptr) *ticket = opened;
    request->deadline_ns.store(deadline);
    return request;
  }
};

Status cancelled() {
  return {StatusCode::kCancelled, "cancelled"};
}

TEST(slots_are_bounded_distinct_and_come_back) {
  Fixture fixture;
  std::set<Request*> slots;
  for (std::uint64_t tag = 0; tag < 4; ++tag) slots.insert(fixture.admit(tag));
  CHECK_EQ(slots.size(), 4U);
  CHECK(!slots.contains(nullptr));
  CHECK(fixture.admit(5) == nullptr);
  fixture.pool.release(**slots.begin());
  CHECK(fixture.admit(6) == *slots.begin());
}

TEST(a_ticket_answers_once) {
  Fixture fixture;
  Ticket ticket;
  Request* const request = fixture.admit(1, &ticket);
  CHECK(fixture.pool.complete_early(ticket, cancelled()));
  CHECK(!fixture.pool.complete_early(ticket, cancelled()));
  CHECK(!request->lifecycle.claim());
  CHECK_EQ(fixture.sink->completions(1), 1);
  CHECK_EQ(fixture.sink->flushes(), 1U);
  fixture.pool.release(*request);
}

TEST(a_request_that_was_answered_cannot_be_cancelled) {
  Fixture fixture;
  Ticket ticket;
  Request* const request = fixture.admit(1, &ticket);
  CHECK(request->lifecycle.claim());
  CHECK(!fixture.pool.complete_early(ticket, cancelled()));
  fixture.pool.release(*request);
  CHECK_EQ(fixture.sink->total(), 0U);
}

TEST(stale_and_foreign_tickets_are_harmless) {
  Fixture fixture;
  Ticket stale;
  fixture.pool.release(*fixture.admit(1, &stale));
  Ticket current;
  Request* const request = fixture.admit(2, &current);
  CHECK_EQ(current.index, stale.index);  // the slot is in use again
  CHECK(current.generation != stale.generation);
  CHECK(!fixture.pool.complete_early(stale, cancelled()));
  CHECK(!fixture.pool.complete_early({}, cancelled()));
  CHECK(!fixture.pool.complete_early({.index = 99, .generation = 1}, cancelled()));
  CHECK(!fixture.pool.complete_early({.index = 3, .generation = 1}, cancelled()));  // never used
  CHECK(fixture.pool.complete_early(Ticket::unpack(current.packed()), cancelled()));
  fixture.pool.release(*request);
}

// A slot that is being filled has no sink yet: not even a lucky guess may reach it.
TEST(a_guessed_ticket_does_not_reach_a_slot_before_it_is_open) {
  Fixture fixture;
  Request* const request = fixture.pool.acquire();
  CHECK(!fixture.pool.complete_early({.index = request->index, .generation = 1}, cancelled()));
  request->sink = fixture.sink;
  CHECK_EQ(fixture.pool.open(*request).generation, 1U);
  CHECK(fixture.pool.complete_early({.index = request->index, .generation = 1}, cancelled()));
  fixture.pool.release(*request);
}

TEST(the_last_reference_frees_what_the_request_held) {
  Fixture fixture;
  Ticket ticket;
  Request* const request = fixture.admit(1, &ticket);
  auto memory = std::make_shared<double>(1.0);
  request->inputs.push_back(Tensor::wrap(DType::kFloat64, {1}, memory.get(), memory));
  request->split = std::make_unique<SplitParts>();
  request->lifecycle.add_reference();
  fixture.pool.release(*request);
  CHECK_EQ(memory.use_count(), 2);
  CHECK(fixture.pool.complete_early(ticket, cancelled()));
  CHECK_EQ(memory.use_count(), 2);
  fixture.pool.release(*request);
  CHECK_EQ(memory.use_count(), 1);
  CHECK_EQ(fixture.sink.use_count(), 1);
}

TEST(expire_answers_what_is_due_and_tells_the_next_deadline) {
  Fixture fixture;
  std::vector<Request*> requests{fixture.admit(1, nullptr, 100), fixture.admit(2, nullptr, 200),
                                 fixture.admit(3, nullptr, 300), fixture.admit(4)};
  CHECK_EQ(fixture.pool.expire(50), 100);
  CHECK_EQ(fixture.sink->total(), 0U);
  CHECK_EQ(fixture.pool.expire(200), 300);
  CHECK_EQ(fixture.sink->completions(1), 1);
  CHECK_EQ(fixture.sink->completions(2), 1);
  CHECK(fixture.sink->response(2).status.code() == StatusCode::kDeadlineExceeded);
  CHECK_EQ(fixture.pool.expire(250), 300);  // 1 and 2 are answered: not again
  CHECK_EQ(fixture.pool.expire(1000), kNoDeadline);
  CHECK_EQ(fixture.sink->total(), 3U);
  for (Request* const request : requests) fixture.pool.release(*request);
  CHECK_EQ(fixture.pool.expire(1000), kNoDeadline);
}

// Deadlines of every size, admitted by several threads while the timer sleeps and scans: each is
// answered, once and not early.
TEST(the_timer_misses_no_deadline) {
  constexpr std::uint64_t kThreads = 3;
  constexpr std::uint64_t kEach = 300;
  RequestPool pool(kThreads * kEach);
  const auto sink = std::make_shared<RecordingSink>();
  std::atomic<bool> early{false};
  {
    DeadlineTimer timer(pool);
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          Request* const request = pool.acquire();
          request->sink = sink;
          request->tag = thread * kEach + i;
          request->accepted_ns = now_ns();
          (void)pool.open(*request);
          const Nanoseconds deadline =
              now_ns() + static_cast<Nanoseconds>((i * 7919) % 20) * 250'000;
          request->deadline_ns.store(deadline);
          timer.note(deadline);
          if (request->lifecycle.is_claimed() && now_ns() < deadline) early = true;
          if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(sink->wait_for(kThreads * kEach));
  }
  CHECK(!early);
  for (std::uint64_t tag = 0; tag < kThreads * kEach; ++tag) CHECK_EQ(sink->completions(tag), 1);
  for (std::uint32_t i = 0; i < pool.capacity(); ++i) pool.release(pool.slot(i));
}

}  // namespace
}  // namespace slipstream
