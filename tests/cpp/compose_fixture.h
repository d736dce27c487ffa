// Models that double their input, each with a gate of its own, for tests of what is composed of
// them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controlled_model.h"
#include "core/compose/combine.h"
#include "core/compose/ensemble.h"
#include "core/compose/pipeline.h"
#include "harness.h"
#include "recording_sink.h"

namespace slipstream::testing {

inline constexpr Nanoseconds kLongNs = 60'000'000'000;

struct Members {
  RequestPool pool{256};
  DeadlineTimer timer{pool};
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  std::vector<std::shared_ptr<Control>> controls;
  std::vector<std::shared_ptr<ServedModel>> models;
  std::vector<std::shared_ptr<Composite>> composites;  // kept until the gates are open

  explicit Members(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      controls.push_back(std::make_shared<Control>());
      ServeOptions options;
      options.name = std::string(1, static_cast<char>('a' + i));
      auto created = ServedModel::create(
          pool, timer, std::make_unique<ControlledModel>(controls.back()), std::move(options));
      REQUIRE(created.is_ok());
      models.push_back(created.value());
    }
  }
  ~Members() {
    for (const auto& control : controls) control->open_gate();
    composites.clear();
    for (const auto& model : models) model->close(0);
  }

  std::shared_ptr<Composite> ensemble(Combine combine = weighted_mean(0)) {
    std::vector<CompositeMember> members;
    for (const auto& model : models) members.push_back({model});
    auto made = make_ensemble("both", std::move(members), std::move(combine));
    REQUIRE(made.is_ok());
    return composites.emplace_back(std::move(made).value());
  }
  std::shared_ptr<Composite> pipeline(Transform transform = nullptr) {
    std::vector<PipelineStep> steps;
    for (const auto& model : models) {
      PipelineStep& step = steps.emplace_back();
      step.member.model = model;
      if (steps.size() > 1) step.transform = transform;
    }
    auto made = make_pipeline("chain", std::move(steps));
    REQUIRE(made.is_ok());
    return composites.emplace_back(std::move(made).value());
  }
  Status submit(Composite& composite, std::uint64_t tag, double first, std::int64_t rows = 1,
                RequestOptions options = {}, Ticket* ticket = nullptr) {
    std::vector<Tensor> inputs{counting_rows(first, rows)};
    return composite.submit(std::move(inputs), options, sink, tag, ticket);
  }
  Status status_of(std::uint64_t tag) { return sink->response(tag).status; }
  // Every request slot is free again.
  bool pool_is_full() {
    std::vector<Request*> slots;
    while (Request* const slot = pool.acquire()) slots.push_back(slot);
    for (Request* const slot : slots) {
      (void)pool.open(*slot);
      pool.release(*slot);
    }
    return slots.size() == pool.capacity();
  }
};

inline bool mentions(const Status& status, const std::string& text) {
  return status.message().find(text) != std::string::npos;
}

}  // namespace slipstream::testing
