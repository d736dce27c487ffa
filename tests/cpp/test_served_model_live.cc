// What changes about a served model while it serves: its largest batch, and that it is warm.
#include <vector>

#include "core/served_model.h"
#include "served_fixture.h"

namespace slipstream {
namespace {

using testing::counting_rows;
using testing::first_value;
using Fixture = testing::ServedFixture;

std::vector<Tensor> one(Tensor input) {
  std::vector<Tensor> inputs;
  inputs.push_back(std::move(input));
  return inputs;
}

TEST(a_lower_maximum_holds_for_what_is_formed_next) {
  Fixture fixture;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 6; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(static_cast<double>(tag), 1)).is_ok());
  }
  fixture.served->set_max_batch_rows(2);
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(7));
  const std::vector<std::int64_t> expected{1, 2, 2, 2};
  CHECK(fixture.control->batch_sizes() == expected);
}

TEST(what_waits_and_was_not_split_runs_whole) {
  Fixture fixture;
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(0, 6)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(100, 5)).is_ok());
  REQUIRE(fixture.submit(3, counting_rows(200, 1)).is_ok());
  fixture.served->set_max_batch_rows(2);
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));
  const std::vector<std::int64_t> expected{1, 6, 5, 1};
  CHECK(fixture.control->batch_sizes() == expected);
  REQUIRE(fixture.sink->response(1).status.is_ok());
  CHECK_EQ(fixture.sink->response(1).outputs[0].rows(), 6);
  CHECK_EQ(first_value(fixture.sink->response(2)), 200.0);
}

TEST(what_comes_after_is_split_by_the_new_maximum) {
  Fixture fixture;
  fixture.served->set_max_batch_rows(4);
  REQUIRE(fixture.submit(1, counting_rows(0, 10)).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  const std::vector<std::int64_t> expected{4, 4, 2};
  CHECK(fixture.control->batch_sizes() == expected);
  CHECK_EQ(fixture.sink->response(1).outputs[0].rows(), 10);
}

TEST(a_split_request_takes_larger_pieces_when_the_maximum_rises) {
  ServeOptions options;
  options.batcher.max_batch_rows = 2;
  Fixture fixture(options);
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(0, 6)).is_ok());
  fixture.served->set_max_batch_rows(64);
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(2));
  REQUIRE(fixture.sink->response(1).status.is_ok());
  CHECK_EQ(fixture.sink->response(1).outputs[0].rows(), 6);
  CHECK_EQ(fixture.sink->response(1).outputs[0].as<double>()[5], 10.0);
}

TEST(a_warm_up_runs_on_every_instance_and_counts_nowhere) {
  ServeOptions options;
  options.instances = 3;
  Fixture fixture(options);
  REQUIRE(fixture.served->warm_up(one(counting_rows(1, 2)), ~std::uint64_t{0}, 0).is_ok());
  CHECK_EQ(fixture.control->batch_sizes().size(), 3U);  // one each: the time was up before
  CHECK_EQ(fixture.served->stats().executions.count(), 0U);
  CHECK_EQ(fixture.served->stats().succeeded.value(), 0U);
  CHECK_EQ(fixture.served->stats().last_used_ns.value(), 0);
  REQUIRE(
      fixture.served->warm_up(one(counting_rows(1, 2)), ~std::uint64_t{0}, kNoDeadline).is_ok());
  CHECK(fixture.control->batch_sizes().size() > 6U);
  CHECK_EQ(fixture.served->stats().executions.count(), 0U);
}

TEST(a_warm_up_teaches_what_may_run_inline) {
  ServeOptions options;
  options.inline_limit_ns = 1'000'000'000;
  Fixture fixture(options);
  const std::vector<Tensor> inputs = one(counting_rows(1, 1));
  CHECK(!fixture.served->try_run_inline(inputs, {}).has_value());
  REQUIRE(fixture.served->warm_up(inputs, ~std::uint64_t{0}, kNoDeadline).is_ok());
  CHECK(fixture.served->try_run_inline(inputs, {}).has_value());
}

TEST(a_warm_up_says_what_failed) {
  Fixture fixture;
  fixture.control->poison = 1;
  const Status status =
      fixture.served->warm_up(one(counting_rows(1, 1)), ~std::uint64_t{0}, kNoDeadline);
  CHECK(!status.is_ok());
  CHECK_EQ(fixture.served->stats().failed.value(), 0U);
  CHECK(!fixture.served->warm_up({}, ~std::uint64_t{0}, kNoDeadline).is_ok());
}

TEST(busy_while_it_executes_or_something_waits) {
  Fixture fixture;
  fixture.occupy();
  CHECK(fixture.served->is_busy());
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(1));
  fixture.served->close(0);  // joins the worker, which may still hold its instance
  CHECK(!fixture.served->is_busy());
}

}  // namespace
}  // namespace slipstream
