// How composed requests end: failures that name the member, refusals, cancellation, closing, and
// one completion each whatever happens.
#include <atomic>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "compose_fixture.h"

namespace slipstream {
namespace {

using testing::kLongNs;
using testing::Members;
using testing::mentions;

TEST(the_first_failure_ends_the_parent_at_once_and_names_the_member) {
  Members members(2);
  const auto ensemble = members.ensemble();
  members.controls[0]->close_gate();
  members.controls[1]->poison = 5;
  REQUIRE(members.submit(*ensemble, 1, 5).is_ok());
  REQUIRE(members.sink->wait_for(1));  // while 'a' is still held
  CHECK(members.status_of(1).code() == StatusCode::kInternal);
  CHECK(mentions(members.status_of(1), "ensemble 'both', member 'b': poisoned row"));
  members.controls[0]->open_gate();
  ensemble->close(now_ns() + kLongNs);
  CHECK_EQ(members.sink->completions(1), 1);
  CHECK_EQ(ensemble->stats().failed.value(), 1U);
}

TEST(a_failure_cancels_members_that_still_wait) {
  Members members(2);
  const auto ensemble = members.ensemble();
  members.controls[0]->close_gate();
  members.controls[1]->poison = 5;
  REQUIRE(members.submit(*ensemble, 1, 1).is_ok());
  members.controls[0]->wait_at_gate(1);
  REQUIRE(members.submit(*ensemble, 2, 5).is_ok());  // waits in the queue of 'a', fails in 'b'
  REQUIRE(members.sink->wait_for(1));
  members.controls[0]->open_gate();
  ensemble->close(now_ns() + kLongNs);
  CHECK_EQ(members.controls[0]->batch_sizes().size(), 1U);  // request 2 never ran in 'a'
  CHECK(members.status_of(1).is_ok());
}

TEST(a_failing_step_ends_a_pipeline) {
  Members members(3);
  const auto pipeline = members.pipeline();
  members.controls[1]->poison = 2;
  REQUIRE(members.submit(*pipeline, 1, 1).is_ok());
  REQUIRE(members.sink->wait_for(1));
  CHECK(mentions(members.status_of(1), "pipeline 'chain', member 'b'"));
  CHECK(members.controls[2]->batch_sizes().empty());
}

TEST(a_refusal_by_a_member_is_the_parents_refusal) {
  Members members(3);
  const auto ensemble = members.ensemble();
  members.models[2]->close(0);
  const Status status = members.submit(*ensemble, 1, 1);
  CHECK(status.code() == StatusCode::kUnavailable);
  CHECK(mentions(status, "member 'c'"));
  ensemble->close(now_ns() + kLongNs);  // the members that had accepted it have answered
  CHECK_EQ(members.sink->total(), 0U);
  CHECK_EQ(ensemble->stats().rejected.value(), 1U);
}

TEST(cancelling_the_parent_cancels_its_members) {
  Members members(2);
  const auto ensemble = members.ensemble();
  for (const auto& control : members.controls) control->close_gate();
  REQUIRE(members.submit(*ensemble, 1, 1).is_ok());
  for (const auto& control : members.controls) control->wait_at_gate(1);
  Ticket ticket;
  REQUIRE(members.submit(*ensemble, 2, 1, 1, {}, &ticket).is_ok());
  CHECK(ensemble->cancel(ticket));
  CHECK(!ensemble->cancel(ticket));
  CHECK(members.status_of(2).code() == StatusCode::kCancelled);
  for (const auto& control : members.controls) control->open_gate();
  ensemble->close(now_ns() + kLongNs);
  CHECK_EQ(members.sink->completions(2), 1);
  for (const auto& control : members.controls) CHECK_EQ(control->batch_sizes().size(), 1U);
  CHECK(!ensemble->cancel(ticket));  // stale
  CHECK(!ensemble->cancel({}));
  for (const auto& model : members.models) model->close(now_ns() + kLongNs);
  CHECK(members.pool_is_full());
}

TEST(a_ticket_of_another_composite_is_refused) {
  Members members(1);
  const auto one = members.ensemble();
  const auto other = members.pipeline();
  members.controls[0]->close_gate();
  Ticket ticket;
  REQUIRE(members.submit(*one, 1, 1, 1, {}, &ticket).is_ok());
  CHECK(!other->cancel(ticket));
  CHECK(one->cancel(ticket));
  members.controls[0]->open_gate();
}

TEST(what_user_functions_throw_fails_the_parent_only) {
  Members members(1);
  const auto throws = members.ensemble(
      [](auto) -> Result<std::vector<Tensor>> { throw std::runtime_error("no quorum"); });
  const auto out_of_memory =
      members.ensemble([](auto) -> Result<std::vector<Tensor>> { throw std::bad_alloc(); });
  const auto odd = members.ensemble([](auto) -> Result<std::vector<Tensor>> { throw 42; });
  const auto refuses = members.ensemble(
      [](auto) -> Result<std::vector<Tensor>> { return invalid_argument("not these"); });
  REQUIRE(members.submit(*throws, 1, 1).is_ok());
  REQUIRE(members.submit(*out_of_memory, 2, 1).is_ok());
  REQUIRE(members.submit(*odd, 3, 1).is_ok());
  REQUIRE(members.submit(*refuses, 4, 1).is_ok());
  REQUIRE(members.sink->wait_for(4));
  CHECK(members.status_of(1).code() == StatusCode::kInternal);
  CHECK(mentions(members.status_of(1), "no quorum"));
  CHECK(members.status_of(2).code() == StatusCode::kResourceExhausted);
  CHECK(members.status_of(3).code() == StatusCode::kInternal);
  CHECK(members.status_of(4).code() == StatusCode::kInvalidArgument);
  const auto works = members.ensemble();
  REQUIRE(members.submit(*works, 5, 1).is_ok());
  REQUIRE(members.sink->wait_for(5));
  CHECK(members.status_of(5).is_ok());
}

TEST(closing_ends_parents_in_flight_and_refuses_new_ones) {
  Members members(2);
  const auto ensemble = members.ensemble();
  members.controls[0]->close_gate();
  REQUIRE(members.submit(*ensemble, 1, 1).is_ok());
  members.controls[0]->wait_at_gate(1);
  std::thread closer([&] { ensemble->close(0); });
  REQUIRE(members.sink->wait_for(1));
  CHECK(members.status_of(1).code() == StatusCode::kUnavailable);
  CHECK(members.submit(*ensemble, 2, 1).code() == StatusCode::kUnavailable);
  members.controls[0]->open_gate();
  closer.join();
  ensemble->close(0);
  CHECK_EQ(members.sink->total(), 1U);
}

TEST(closing_with_time_lets_parents_finish) {
  Members members(2);
  auto pipeline = members.pipeline();
  members.controls[0]->close_gate();
  for (std::uint64_t tag = 0; tag < 10; ++tag) REQUIRE(members.submit(*pipeline, tag, 1).is_ok());
  members.controls[0]->open_gate();
  pipeline->close(now_ns() + kLongNs);
  REQUIRE(members.sink->total() == 10);
  for (std::uint64_t tag = 0; tag < 10; ++tag) CHECK(members.status_of(tag).is_ok());
}

// Many parents, cancelled and failed at random from several threads: one completion each.
TEST(every_parent_ends_once_under_load) {
  Members members(3);
  members.controls[1]->poison = 13;
  auto ensemble = members.ensemble();
  auto pipeline = members.pipeline();
  std::atomic<std::uint64_t> accepted{0};
  std::vector<std::thread> submitters;
  for (std::uint64_t thread = 0; thread < 3; ++thread) {
    submitters.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < 400; ++i) {
        Composite& composite = i % 2 == 0 ? *ensemble : *pipeline;
        RequestOptions options;
        if (i % 7 == 0) options.deadline_ns = now_ns() + static_cast<Nanoseconds>(i % 5) * 100'000;
        Ticket ticket;
        const Status status = members.submit(composite, thread * 1000 + i,
                                             static_cast<double>(i % 16), 1, options, &ticket);
        if (status.is_ok()) accepted.fetch_add(1);
        if (i % 3 == 0) (void)composite.cancel(ticket);
      }
    });
  }
  for (std::thread& submitter : submitters) submitter.join();
  ensemble->close(now_ns() + kLongNs);
  pipeline->close(now_ns() + kLongNs);
  CHECK_EQ(members.sink->total(), accepted.load());
  for (std::uint64_t tag = 0; tag < 3000; ++tag) CHECK(members.sink->completions(tag) <= 1);
  for (const auto& model : members.models) model->close(now_ns() + kLongNs);
  CHECK(members.pool_is_full());
}

}  // namespace
}  // namespace slipstream
