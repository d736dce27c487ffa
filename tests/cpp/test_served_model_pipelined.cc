// A served model whose executions begin and end apart, as far as the device does not matter: what
// its worker does while it waits.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/served_model.h"
#include "harness.h"
#include "recording_sink.h"

using namespace slipstream;

namespace {

// Its executions end when the test says, and give their inputs back.
class HeldInstance final : public PipelinedInstance {
 public:
  struct Control {
    std::atomic<std::int64_t> may_end{0};  // so many executions
    std::atomic<std::int64_t> begun{0};
    std::atomic<std::int64_t> polls{0};
    std::mutex mutex;
    std::vector<Launch> launches;  // with it; for whom to wake

    void end_all() {
      may_end.store(1'000'000);
      const std::scoped_lock lock(mutex);
      for (const Launch& each : launches) {
        if (each.wake != nullptr) each.wake(each.wake_context);
      }
      launches.clear();
    }
  };

  explicit HeldInstance(Control& control) : control_(control) {}

  Status execute(const Execution& /*execution*/,
                 std::vector<Tensor>& /*outputs*/) noexcept override {
    return internal_error("nobody calls it");
  }
  std::size_t depth() const noexcept override { return 3; }
  void begin(const Launch& launch) noexcept override {
    answers_.push_back(Tensor::allocate(DType::kUint8, {launch.rows, 1}));
    {
      const std::scoped_lock lock(control_.mutex);
      control_.launches.push_back(launch);
    }
    control_.begun.fetch_add(1);
  }
  bool poll(Status& status, std::vector<Tensor>& outputs) noexcept override {
    control_.polls.fetch_add(1);
    if (ended_ >= control_.may_end.load()) return false;
    status = Status::ok();
    outputs.assign(1, answers_[static_cast<std::size_t>(ended_++)]);
    return true;
  }

 private:
  Control& control_;
  std::vector<Tensor> answers_;
  std::int64_t ended_ = 0;
};

class HeldModel final : public Model {
 public:
  explicit HeldModel(HeldInstance::Control& control) : control_(control) {
    spec_.inputs = {{.name = "x", .dtype = DType::kUint8, .dims = {-1, 1}}};
    spec_.outputs = {{.name = "y", .dtype = DType::kUint8, .dims = {-1, 1}}};
    spec_.batchable = true;
  }
  const ModelSpec& spec() const noexcept override { return spec_; }
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    return std::unique_ptr<Instance>(std::make_unique<HeldInstance>(control_));
  }

 private:
  HeldInstance::Control& control_;
  ModelSpec spec_;
};

struct Fixture {
  HeldInstance::Control control;
  RequestPool pool{64};
  DeadlineTimer timer{pool};
  std::shared_ptr<testing::RecordingSink> sink = std::make_shared<testing::RecordingSink>();
  std::shared_ptr<ServedModel> served;
  std::uint64_t submitted = 0;

  explicit Fixture(std::int64_t max_batch_rows, Nanoseconds nap_limit_ns = 1'000'000) {
    ServeOptions options;
    options.batcher.max_batch_rows = max_batch_rows;
    options.nap_limit_ns = nap_limit_ns;
    options.inline_limit_ns = 0;
    auto created =
        ServedModel::create(pool, timer, std::make_unique<HeldModel>(control), std::move(options));
    REQUIRE(created.is_ok());
    served = created.value();
  }
  ~Fixture() {
    control.end_all();
    served->close(0);
  }

  void submit(std::int64_t rows) {
    std::vector<Tensor> inputs;
    inputs.push_back(Tensor::allocate(DType::kUint8, {rows, 1}));
    REQUIRE(served->submit(std::move(inputs), {}, sink, submitted++, nullptr).is_ok());
  }
  void wait_for_begun(std::int64_t executions) const {
    while (control.begun.load() < executions) std::this_thread::yield();
  }
};

}  // namespace

TEST(a_worker_that_may_begin_nothing_sleeps) {
  Fixture fixture(8);
  fixture.submit(1);
  fixture.wait_for_begun(1);
  fixture.submit(1);  // fills no batch, so it waits for the first
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than it polls
  const std::int64_t before = fixture.control.polls.load();
  const Nanoseconds begin = now_ns();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const Nanoseconds naps = (now_ns() - begin) / 1'000'000 + 2;
  CHECK(fixture.control.polls.load() - before <= 10 * naps);
  CHECK_EQ(fixture.control.begun.load(), 1);
  fixture.control.end_all();
  REQUIRE(fixture.sink->wait_for(2));
}

TEST(a_batch_that_fills_while_its_worker_sleeps_is_begun) {
  Fixture fixture(8, Nanoseconds{3'600'000'000'000});  // it would not wake by itself
  fixture.submit(1);
  fixture.wait_for_begun(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  for (int i = 0; i < 7; ++i) fixture.submit(1);
  CHECK_EQ(fixture.control.begun.load(), 1);
  fixture.submit(1);
  fixture.wait_for_begun(2);
  CHECK_EQ(fixture.sink->total(), 0U);
  fixture.control.end_all();
  REQUIRE(fixture.sink->wait_for(9));
}
