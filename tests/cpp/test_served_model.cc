// What a served model promises its callers: batching, order, deadlines, cancellation, isolation.
#include "core/served_model.h"

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "served_fixture.h"

namespace slipstream {
namespace {

using testing::counting_rows;
using testing::first_value;
using Fixture = testing::ServedFixture;

TEST(one_request_is_answered) {
  Fixture fixture;
  REQUIRE(fixture.submit(1, counting_rows(21, 2, 3)).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  const Response response = fixture.sink->response(1);
  REQUIRE(response.status.is_ok());
  CHECK_EQ(response.outputs[0].rows(), 2);
  CHECK_EQ(first_value(response), 42.0);
  CHECK_EQ(fixture.served->stats().succeeded.value(), 1U);
  CHECK_EQ(fixture.served->stats().rows.value(), 2U);
}

TEST(requests_that_waited_share_one_execution_and_one_flush) {
  Fixture fixture;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 8; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(static_cast<double>(tag), 1)).is_ok());
  }
  const std::size_t flushes_before = fixture.sink->flushes();
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(9));
  const auto batches = fixture.control->batch_sizes();
  REQUIRE(batches.size() == 2);
  CHECK_EQ(batches[1], 8);
  for (std::uint64_t tag = 0; tag < 8; ++tag) {
    CHECK_EQ(first_value(fixture.sink->response(tag)), 2.0 * static_cast<double>(tag));
    CHECK_EQ(fixture.sink->response(tag).batch_rows, 8);
  }
  fixture.served->close(now_ns() + 1'000'000'000);  // joins the worker: its flushes are done
  CHECK_EQ(fixture.sink->flushes() - flushes_before, 2U);
}

TEST(different_shapes_never_share_an_execution) {
  Fixture fixture;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 6; ++tag) {
    const std::int64_t width = tag % 2 == 0 ? 2 : 3;
    REQUIRE(fixture.submit(tag, counting_rows(1, 1, width)).is_ok());
  }
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(7));
  const auto batches = fixture.control->batch_sizes();
  REQUIRE(batches.size() == 3);  // the occupier, three of width 2, three of width 3
  CHECK_EQ(batches[1], 3);
  CHECK_EQ(batches[2], 3);
  CHECK_EQ(fixture.sink->response(1).outputs[0].shape()[1], 3);
}

TEST(a_request_above_the_maximum_is_split_and_joined_in_order) {
  ServeOptions options;
  options.batcher.max_batch_rows = 4;
  Fixture fixture(options);
  REQUIRE(fixture.submit(1, counting_rows(0, 11, 2)).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  const Response response = fixture.sink->response(1);
  REQUIRE(response.status.is_ok());
  REQUIRE(response.outputs[0].rows() == 11);
  const auto values = response.outputs[0].as<double>();
  for (std::size_t i = 0; i < values.size(); ++i) CHECK_EQ(values[i], 2.0 * static_cast<double>(i));
  CHECK_EQ(fixture.control->batch_sizes().size(), 3U);
}

TEST(the_rest_of_a_split_request_shares_its_last_execution) {
  ServeOptions options;
  options.batcher.max_batch_rows = 4;
  Fixture fixture(options);
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(0, 6)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(100, 2)).is_ok());
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(3));
  const auto batches = fixture.control->batch_sizes();
  REQUIRE(batches.size() == 3);
  CHECK_EQ(batches[1], 4);
  CHECK_EQ(batches[2], 4);
  CHECK_EQ(fixture.sink->response(1).outputs[0].as<double>()[5], 10.0);
  CHECK_EQ(first_value(fixture.sink->response(2)), 200.0);
}

TEST(batch_size_of_a_request_limits_its_executions) {
  Fixture fixture;
  fixture.occupy();
  RequestOptions small;
  small.max_batch_rows = 2;
  for (std::uint64_t tag = 0; tag < 3; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(1, 1), small).is_ok());
  }
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));
  const auto batches = fixture.control->batch_sizes();
  REQUIRE(batches.size() == 3);
  CHECK_EQ(batches[1], 2);
  CHECK_EQ(batches[2], 1);
}

TEST(a_request_that_is_alone_shares_no_execution) {
  ServeOptions options;
  options.batcher.max_batch_rows = 4;
  Fixture fixture(options);
  fixture.occupy();
  RequestOptions alone;
  alone.is_alone = true;
  REQUIRE(fixture.submit(0, counting_rows(0, 1)).is_ok());
  REQUIRE(fixture.submit(1, counting_rows(10, 1), alone).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(20, 1)).is_ok());
  REQUIRE(fixture.submit(3, counting_rows(30, 6), alone).is_ok());  // split: 4 rows, then 2
  REQUIRE(fixture.submit(4, counting_rows(40, 1)).is_ok());
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(6));
  const auto batches = fixture.control->batch_sizes();
  CHECK(batches == (std::vector<std::int64_t>{1, 3, 1, 4, 2}));
  for (const std::uint64_t tag : {0U, 2U, 4U}) CHECK(fixture.sink->response(tag).is_shared);
  for (const std::uint64_t tag : {1U, 3U}) CHECK(!fixture.sink->response(tag).is_shared);
  CHECK_EQ(first_value(fixture.sink->response(1)), 20.0);
  CHECK_EQ(fixture.sink->response(3).outputs[0].as<double>()[5], 70.0);
}

TEST(a_split_request_tells_whether_any_of_its_parts_was_shared) {
  ServeOptions options;
  options.batcher.max_batch_rows = 4;
  Fixture fixture(options);
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(0, 5)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(100, 1)).is_ok());
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(3));
  CHECK(fixture.sink->response(1).is_shared);
  CHECK(fixture.sink->response(2).is_shared);
  CHECK(!fixture.sink->response(1000).is_shared);
  REQUIRE(fixture.submit(3, counting_rows(0, 9)).is_ok());  // three parts, nobody else's
  REQUIRE(fixture.sink->wait_for(4));
  CHECK(!fixture.sink->response(3).is_shared);
}

TEST(urgent_requests_overtake) {
  ServeOptions options;
  options.batcher.max_batch_rows = 1;
  Fixture fixture(options);
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  RequestOptions urgent;
  urgent.priority = kUrgentPriority;
  REQUIRE(fixture.submit(2, counting_rows(2, 1), urgent).is_ok());
  RequestOptions low;
  low.priority = kLowPriority;
  REQUIRE(fixture.submit(3, counting_rows(3, 1), low).is_ok());
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));
  const std::vector<std::uint64_t> expected{1000, 2, 1, 3};
  CHECK(fixture.sink->order() == expected);
}

TEST(a_poisoned_request_fails_alone) {
  Fixture fixture;
  fixture.control->poison = 666;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 5; ++tag) {
    const double value = tag == 2 ? 666 : static_cast<double>(tag);
    REQUIRE(fixture.submit(tag, counting_rows(value, 1)).is_ok());
  }
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(6));
  for (std::uint64_t tag = 0; tag < 5; ++tag) {
    CHECK_EQ(fixture.sink->response(tag).status.is_ok(), tag != 2);
  }
  CHECK(fixture.sink->response(2).status.code() == StatusCode::kInternal);
}

TEST(a_model_that_mixes_rows_is_never_batched_again) {
  Fixture fixture;
  fixture.control->mixes_rows = true;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 3; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(static_cast<double>(tag), 1)).is_ok());
  }
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));
  for (std::uint64_t tag = 0; tag < 3; ++tag) {
    CHECK_EQ(first_value(fixture.sink->response(tag)), 2.0 * static_cast<double>(tag));
  }
  CHECK(!fixture.served->is_batching());
}

TEST(a_queued_request_expires_at_its_deadline) {
  Fixture fixture;
  fixture.occupy();
  RequestOptions options;
  options.deadline_ns = now_ns() + 5'000'000;
  REQUIRE(fixture.submit(1, counting_rows(1, 1), options).is_ok());
  REQUIRE(fixture.sink->wait_for(1));  // the gate is still closed: only the timer can answer
  CHECK(fixture.sink->response(1).status.code() == StatusCode::kDeadlineExceeded);
  CHECK(now_ns() >= options.deadline_ns);
}

TEST(a_running_request_expires_too_and_its_late_answer_is_dropped) {
  Fixture fixture;
  fixture.control->close_gate();
  RequestOptions options;
  options.deadline_ns = now_ns() + 20'000'000;
  REQUIRE(fixture.submit(1, counting_rows(1, 1), options).is_ok());
  fixture.control->wait_at_gate(1);
  REQUIRE(fixture.sink->wait_for(1));
  fixture.control->open_gate();
  REQUIRE(fixture.submit(2, counting_rows(2, 1)).is_ok());
  REQUIRE(fixture.sink->wait_for(2));
  CHECK_EQ(fixture.sink->completions(1), 1);
  CHECK(fixture.sink->response(1).status.code() == StatusCode::kDeadlineExceeded);
}

TEST(a_deadline_in_the_past_is_refused_at_admission) {
  Fixture fixture;
  RequestOptions options;
  options.deadline_ns = now_ns() - 1;
  CHECK(fixture.submit(1, counting_rows(1, 1), options).code() == StatusCode::kDeadlineExceeded);
  CHECK_EQ(fixture.sink->total(), 0U);
}

TEST(cancel_ends_a_queued_request_once) {
  Fixture fixture;
  fixture.occupy();
  Ticket ticket;
  REQUIRE(fixture.submit(1, counting_rows(1, 1), {}, &ticket).is_ok());
  CHECK(fixture.served->cancel(ticket));
  CHECK(!fixture.served->cancel(ticket));
  CHECK(fixture.sink->response(1).status.code() == StatusCode::kCancelled);
  fixture.control->open_gate();
  REQUIRE(fixture.submit(2, counting_rows(2, 1)).is_ok());
  REQUIRE(fixture.sink->wait_for(3));
  CHECK_EQ(fixture.sink->completions(1), 1);
  CHECK_EQ(fixture.control->batch_sizes().size(), 2U);  // the cancelled one never ran
  CHECK(!fixture.served->cancel(ticket));               // stale by now
}

TEST(a_full_lane_is_refused_and_other_lanes_still_accept) {
  ServeOptions options;
  options.batcher.queue_capacity = 2;
  Fixture fixture(options);
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(2, 1)).is_ok());
  CHECK(fixture.submit(3, counting_rows(3, 1)).code() == StatusCode::kResourceExhausted);
  RequestOptions high;
  high.priority = kHighPriority;
  CHECK(fixture.submit(4, counting_rows(4, 1), high).is_ok());
  fixture.control->open_gate();
  CHECK(fixture.sink->wait_for(4));
  CHECK_EQ(fixture.sink->completions(3), 0);
}

TEST(bad_inputs_are_refused_with_what_is_wrong) {
  Fixture fixture;
  const Status dtype = fixture.submit(1, Tensor::allocate(DType::kFloat32, {1, 2}));
  CHECK(dtype.code() == StatusCode::kInvalidArgument);
  CHECK(dtype.message().find("float32") != std::string::npos);
  CHECK(fixture.submit(1, Tensor::allocate(DType::kFloat64, {3})).code() ==
        StatusCode::kInvalidArgument);
  CHECK(fixture.submit(1, Tensor::allocate(DType::kFloat64, {0, 2})).code() ==
        StatusCode::kInvalidArgument);
  CHECK(fixture.served->submit({}, {}, fixture.sink, 1, nullptr).code() ==
        StatusCode::kInvalidArgument);
  RequestOptions options;
  options.priority = 11;
  CHECK(fixture.submit(1, counting_rows(1, 1), options).code() == StatusCode::kInvalidArgument);
}

TEST(close_answers_everything_that_waits_and_refuses_the_rest) {
  Fixture fixture;
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  std::thread closer([&] { fixture.served->close(0); });
  REQUIRE(fixture.sink->wait_for(1));
  CHECK(fixture.sink->response(1).status.code() == StatusCode::kUnavailable);
  CHECK(fixture.submit(2, counting_rows(2, 1)).code() == StatusCode::kUnavailable);
  fixture.control->open_gate();
  closer.join();
  CHECK_EQ(fixture.sink->total(), 2U);  // the running one was answered, too
  CHECK(fixture.sink->response(1000).status.is_ok());
}

TEST(close_with_time_to_drain_lets_the_queue_run) {
  Fixture fixture;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 20; ++tag) {
    REQUIRE(
        fixture.submit(tag, counting_rows(1, 1, 1 + static_cast<std::int64_t>(tag % 3))).is_ok());
  }
  fixture.control->open_gate();
  fixture.served->close(now_ns() + 10'000'000'000);
  REQUIRE(fixture.sink->total() == 21);
  for (std::uint64_t tag = 0; tag < 20; ++tag) CHECK(fixture.sink->response(tag).status.is_ok());
}

TEST(a_quick_idle_model_runs_inline) {
  ServeOptions options;
  options.inline_limit_ns = 1'000'000'000;
  Fixture fixture(options);
  std::vector<Tensor> inputs{counting_rows(4, 1)};
  CHECK(!fixture.served->try_run_inline(inputs, {}).has_value());  // nothing is learned yet
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  // The worker may hold its instance for a moment after the completion.
  std::optional<Response> response;
  for (int i = 0; i < 1'000'000 && !response; ++i) {
    response = fixture.served->try_run_inline(inputs, {});
  }
  REQUIRE(response.has_value());
  CHECK_EQ(first_value(*response), 8.0);
  CHECK(response->is_inline);
  CHECK(!fixture.sink->response(1).is_inline);
  fixture.occupy();
  CHECK(!fixture.served->try_run_inline(inputs, {}).has_value());  // the instance is busy
}

TEST(an_unbatchable_model_gets_each_request_as_it_is) {
  Fixture fixture({}, /*batchable=*/false);
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 3; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(1, 100)).is_ok());
  }
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));
  for (const std::int64_t rows : fixture.control->batch_sizes()) CHECK(rows == 1 || rows == 100);
  CHECK_EQ(fixture.control->batch_sizes().size(), 4U);
}

}  // namespace
}  // namespace slipstream
