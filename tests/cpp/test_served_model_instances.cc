// Instances that come and go while a model serves: nothing is lost, nothing runs twice.
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/served_model.h"
#include "served_fixture.h"

namespace slipstream {
namespace {

using testing::counting_rows;
using testing::first_value;
using Fixture = testing::ServedFixture;

ServeOptions room_for(std::size_t most, std::size_t instances = 1) {
  ServeOptions options;
  options.instances = instances;
  options.max_instances = most;
  options.batcher.max_batch_rows = 1;
  options.inline_limit_ns = 0;
  return options;
}

// Counts those that there are, and may refuse to be made.
struct Counted {
  std::atomic<int> alive{0};
  std::atomic<int> made{0};
  std::atomic<int> executions{0};
  std::atomic<bool> refuses{false};
};

class CountedInstance final : public testing::ControlledInstance {
 public:
  CountedInstance(std::shared_ptr<testing::Control> control, std::shared_ptr<Counted> counted)
      : ControlledInstance(std::move(control)), counted_(std::move(counted)) {
    counted_->alive.fetch_add(1);
    counted_->made.fetch_add(1);
  }
  ~CountedInstance() override { counted_->alive.fetch_sub(1); }

  Status execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept override {
    counted_->executions.fetch_add(1);
    return ControlledInstance::execute(execution, outputs);
  }

  [[nodiscard]] std::uint64_t restarts() const noexcept override { return 1; }

 private:
  std::shared_ptr<Counted> counted_;
};

class CountedModel final : public testing::ControlledModel {
 public:
  CountedModel(const std::shared_ptr<testing::Control>& control, std::shared_ptr<Counted> counted)
      : ControlledModel(control), control_(control), counted_(std::move(counted)) {}

  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    if (counted_->refuses.load()) return resource_exhausted("no memory for another");
    return std::unique_ptr<Instance>(std::make_unique<CountedInstance>(control_, counted_));
  }

 private:
  std::shared_ptr<testing::Control> control_;
  std::shared_ptr<Counted> counted_;
};

struct CountedFixture {
  std::shared_ptr<Counted> counted = std::make_shared<Counted>();
  Fixture fixture;

  explicit CountedFixture(const ServeOptions& options)
      : fixture(options, [this](const std::shared_ptr<testing::Control>& control) {
          return std::make_unique<CountedModel>(control, counted);
        }) {}
};

TEST(more_instances_take_what_waits) {
  Fixture fixture(room_for(3));
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(2, 1)).is_ok());
  REQUIRE(fixture.served->set_instances(3).is_ok());
  fixture.control->wait_at_gate(3);  // the two that waited run beside the first
  CHECK_EQ(fixture.served->instances(), std::size_t{3});
  CHECK_EQ(fixture.served->busy_instances(), std::size_t{3});
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(3));
  CHECK_EQ(first_value(fixture.sink->response(2)), 4.0);
}

TEST(fewer_instances_free_what_they_held_and_keep_their_counts) {
  CountedFixture made(room_for(4, 4));
  CHECK_EQ(made.counted->alive.load(), 4);
  REQUIRE(made.fixture.served->set_instances(1).is_ok());
  CHECK_EQ(made.counted->alive.load(), 1);
  CHECK_EQ(made.fixture.served->instances(), std::size_t{1});
  CHECK_EQ(made.fixture.served->restarts(), std::uint64_t{4});  // of one that is there, three gone
  REQUIRE(made.fixture.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(made.fixture.sink->wait_for(1));
  REQUIRE(made.fixture.served->set_instances(2).is_ok());
  CHECK_EQ(made.counted->alive.load(), 2);
  CHECK_EQ(made.counted->made.load(), 5);
}

TEST(numbers_without_room_are_refused) {
  Fixture fixture(room_for(2));
  for (const std::size_t count : {std::size_t{0}, std::size_t{3}}) {
    const Status status = fixture.served->set_instances(count);
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(status.message().find("1 to 2") != std::string::npos);
  }
  fixture.served->close(0);
  CHECK(fixture.served->set_instances(2).code() == StatusCode::kUnavailable);
}

TEST(an_instance_that_cannot_be_made_leaves_those_that_are) {
  CountedFixture made(room_for(4));
  made.counted->refuses = true;
  const Status status = made.fixture.served->set_instances(3);
  CHECK(status.code() == StatusCode::kResourceExhausted);
  CHECK_EQ(made.fixture.served->instances(), std::size_t{1});
  REQUIRE(made.fixture.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(made.fixture.sink->wait_for(1));
}

TEST(an_instance_that_hangs_stays_and_can_be_closed) {
  CountedFixture made(room_for(2, 2));
  Fixture& fixture = made.fixture;
  fixture.control->close_gate();
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(fixture.submit(2, counting_rows(2, 1)).is_ok());
  fixture.control->wait_at_gate(2);
  CHECK(fixture.served->set_instances(1).code() == StatusCode::kUnavailable);
  CHECK_EQ(fixture.served->instances(), std::size_t{2});
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(2));
  REQUIRE(fixture.submit(3, counting_rows(3, 1)).is_ok());  // both are at work
  REQUIRE(fixture.sink->wait_for(3));
  REQUIRE(fixture.served->set_instances(1).is_ok());
  CHECK_EQ(made.counted->alive.load(), 1);
}

TEST(new_instances_are_warmed_up_with_what_the_others_were) {
  CountedFixture made(room_for(2));
  const std::vector<Tensor> inputs{counting_rows(1, 1)};
  REQUIRE(
      made.fixture.served->warm_up(inputs, ~std::uint64_t{0}, now_ns() + 1'000'000'000).is_ok());
  const int before = made.counted->executions.load();
  REQUIRE(made.fixture.served->set_instances(2).is_ok());
  CHECK_EQ(made.counted->executions.load(), before + 5);
}

// Submitters, a caller that runs inline and a controller that draws a new number all the time: each
// request ends once, with its own answer, whoever comes and goes.
TEST(nothing_is_lost_while_instances_come_and_go) {
  ServeOptions options = room_for(4);
  options.batcher.max_batch_rows = 4;
  options.inline_limit_ns = 1'000'000'000;
  Fixture fixture(options);
  constexpr std::uint64_t kRequests = 2000;
  std::atomic<bool> is_over{false};
  std::thread controller([&] {
    std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same every time
    while (!is_over.load()) {
      const Status status = fixture.served->set_instances(1 + random() % 4);
      CHECK(status.is_ok() || status.code() == StatusCode::kUnavailable);
    }
  });
  std::thread inline_caller([&] {
    while (!is_over.load()) {
      const std::vector<Tensor> inputs{counting_rows(7, 1)};
      const auto response = fixture.served->try_run_inline(inputs, {});
      if (response) CHECK_EQ(first_value(*response), 14.0);
    }
  });
  for (std::uint64_t tag = 0; tag < kRequests; ++tag) {
    while (!fixture.submit(tag, counting_rows(static_cast<double>(tag), 1)).is_ok()) {
      std::this_thread::yield();
    }
  }
  REQUIRE(fixture.sink->wait_for(kRequests));
  is_over = true;
  controller.join();
  inline_caller.join();
  for (std::uint64_t tag = 0; tag < kRequests; ++tag) {
    REQUIRE(fixture.sink->response(tag).status.is_ok());
    CHECK_EQ(first_value(fixture.sink->response(tag)), 2.0 * static_cast<double>(tag));
  }
}

}  // namespace
}  // namespace slipstream
