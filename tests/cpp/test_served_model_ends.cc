// How requests of a served model end at the edges: draining, answers that cannot be joined, models
// that mix rows, failed batches; and that every end is counted once, as what it was.
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/served_model.h"
#include "served_fixture.h"

namespace slipstream {
namespace {

using testing::Control;
using testing::ControlledModel;
using testing::counting_rows;
using testing::first_value;
using Fixture = testing::ServedFixture;

ServeOptions at_most(std::int64_t rows) {
  ServeOptions options;
  options.batcher.max_batch_rows = rows;
  return options;
}

// A tensor of one row that calls `on_release` when its last view goes.
Tensor watched_row(std::function<void()> on_release) {
  auto row = std::make_shared<double>(1.0);
  double* const data = row.get();
  const std::shared_ptr<void> owner(
      data, [row, on_release = std::move(on_release)](void*) { on_release(); });
  return Tensor::wrap(DType::kFloat64, {1, 1}, data, owner);
}

// While a batch is formed, requests are in neither lane nor list. Here that moment is stretched:
// the former drops a cancelled request, whose input takes its time to go.
TEST(draining_waits_for_requests_in_the_hands_of_the_former) {
  Fixture fixture;
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 1, 2)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(2, 1, 3)).is_ok());  // cannot join 1
  std::promise<void> former_is_busy;
  Ticket ticket;
  const auto hold_the_former = [&] {
    former_is_busy.set_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  };
  REQUIRE(fixture.submit(3, watched_row(hold_the_former), {}, &ticket).is_ok());
  REQUIRE(fixture.served->cancel(ticket));
  fixture.control->let_pass(1);
  former_is_busy.get_future().wait();
  std::thread closer([&] { fixture.served->close(now_ns() + 60'000'000'000); });
  fixture.control->wait_for_execution(2);  // request 1 is held at the gate, 2 is waiting
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // time to end 2 by mistake
  fixture.control->open_gate();
  closer.join();
  CHECK(fixture.sink->response(1).status.is_ok());
  CHECK(fixture.sink->response(2).status.is_ok());
}

// y has as many columns as the execution had rows, as a padded answer might: parts do not fit
// together, though the signature says that they are batchable.
class PaddingInstance : public Instance {
 public:
  Status execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept override {
    const std::int64_t rows = execution.inputs.front().rows();
    const std::int64_t width = rows == 4 ? 1 : 1000;  // later parts are wider
    outputs.assign(1, Tensor::allocate(DType::kFloat64, {rows, width}));
    for (double& value : outputs.front().as<double>()) value = 7;
    return Status::ok();
  }
};
class PaddingModel : public ControlledModel {
 public:
  using ControlledModel::ControlledModel;
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    return std::unique_ptr<Instance>(std::make_unique<PaddingInstance>());
  }
};

TEST(parts_of_another_shape_are_not_joined) {
  Fixture fixture(at_most(4),
                  [](const auto& control) { return std::make_unique<PaddingModel>(control); });
  REQUIRE(fixture.submit(1, counting_rows(0, 6)).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  const Response response = fixture.sink->response(1);
  CHECK(response.status.code() == StatusCode::kInternal);
  CHECK(response.status.message().find("at most 4 rows") != std::string::npos);
  // The model's rows depend on their company: from now on it runs requests whole.
  REQUIRE(fixture.submit(2, counting_rows(0, 6)).is_ok());
  REQUIRE(fixture.sink->wait_for(2));
  CHECK(fixture.sink->response(2).status.is_ok());
}

TEST(a_split_request_of_a_model_that_mixes_rows_fails_once_and_then_runs_whole) {
  Fixture fixture(at_most(4));
  fixture.control->mixes_rows = true;
  REQUIRE(fixture.submit(1, counting_rows(3, 6)).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  CHECK(fixture.sink->response(1).status.code() == StatusCode::kInternal);
  CHECK(!fixture.served->is_batching());
  REQUIRE(fixture.submit(2, counting_rows(3, 6)).is_ok());
  REQUIRE(fixture.sink->wait_for(2));
  REQUIRE(fixture.sink->response(2).status.is_ok());
  CHECK_EQ(first_value(fixture.sink->response(2)), 6.0);
}

TEST(a_request_admitted_as_split_runs_whole_once_batching_has_stopped) {
  Fixture fixture(at_most(4));
  fixture.control->mixes_rows = true;
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 2)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(2, 2)).is_ok());  // 1 and 2 share a batch: that stops it
  REQUIRE(fixture.submit(3, counting_rows(3, 6)).is_ok());
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));
  CHECK(fixture.sink->response(2).status.is_ok());
  REQUIRE(fixture.sink->response(3).status.is_ok());
  CHECK_EQ(first_value(fixture.sink->response(3)), 6.0);
}

// When a poisoned batch is run again one by one, who is done must not wait for who is not.
TEST(isolated_requests_are_flushed_one_by_one) {
  Fixture fixture;
  fixture.control->poison = 666;
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 3; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(tag == 0 ? 666 : 1, 1)).is_ok());
  }
  fixture.control->let_pass(4);  // the occupier, the batch, and requests 0 and 1
  REQUIRE(fixture.sink->wait_for(3));
  fixture.control->wait_for_execution(5);  // request 2 runs
  CHECK_EQ(fixture.sink->total(), 3U);
  CHECK_EQ(fixture.sink->flushes(), 3U);
}

TEST(requests_abandoned_in_the_queue_are_counted) {
  Fixture fixture;
  fixture.occupy();
  RequestOptions soon;
  soon.deadline_ns = now_ns() + 2'000'000;
  Ticket ticket;
  (void)fixture.submit(1, counting_rows(1, 1), soon);  // on a slow machine it is refused
  REQUIRE(fixture.submit(2, counting_rows(1, 1, 5), {}, &ticket).is_ok());
  REQUIRE(fixture.served->cancel(ticket));
  const bool expired = fixture.sink->wait_for(2);
  fixture.control->open_gate();
  fixture.served->close(now_ns() + 60'000'000'000);
  CHECK_EQ(fixture.served->stats().abandoned.value(), expired ? 2U : 1U);
  CHECK_EQ(fixture.served->stats().succeeded.value(), 1U);
}

TEST(a_split_request_is_counted_once) {
  Fixture fixture(at_most(2));
  fixture.control->poison = 666;
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(666, 8)).is_ok());  // its first part fails
  REQUIRE(fixture.submit(2, counting_rows(1, 8)).is_ok());
  Ticket ticket;
  REQUIRE(fixture.submit(3, counting_rows(1, 8), {}, &ticket).is_ok());
  REQUIRE(fixture.served->cancel(ticket));
  fixture.control->open_gate();
  fixture.served->close(now_ns() + 60'000'000'000);
  const ModelStats& stats = fixture.served->stats();
  CHECK_EQ(stats.failed.value(), 1U);
  CHECK_EQ(stats.abandoned.value(), 1U);
  CHECK_EQ(stats.succeeded.value(), 2U);
}

}  // namespace
}  // namespace slipstream
