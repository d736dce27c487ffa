#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/completion_queue.h"
#include "bindings/errors.h"
#include "bindings/inputs.h"
#include "bindings/model.h"
#include "bindings/python_owner.h"
#include "bindings/quick_call.h"
#include "bindings/register.h"
#include "bindings/result.h"
#include "bindings/waiting_sink.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

// How often a blocked run() lets Python handle signals (Ctrl-C).
constexpr std::chrono::milliseconds kSignalCheck{100};

RequestOptions options_of(int priority, std::optional<double> timeout_ms,
                          std::int64_t max_batch_rows, std::uint64_t outputs_wanted,
                          bool is_alone) {
  RequestOptions options{.priority = priority,
                         .deadline_ns = kNoDeadline,
                         .max_batch_rows = max_batch_rows,
                         .outputs_wanted = outputs_wanted,
                         .is_alone = is_alone};
  if (timeout_ms) {
    constexpr double kLongestMs = 1e12;  // thirty years: no overflow in nanoseconds
    const double bounded_ms = std::clamp(*timeout_ms, 0.0, kLongestMs);
    options.deadline_ns = now_ns() + static_cast<Nanoseconds>(bounded_ms * 1e6);
  }
  return options;
}

std::shared_ptr<ResultObject> result_of(Response&& response) {
  return std::make_shared<ResultObject>(ResultObject{std::move(response)});
}

// Computes here, or submits the request. Without the GIL.
Status run_or_submit(const ModelObject& self, const InputsObject& inputs,
                     const RequestOptions& options, WaitingSink& sink, Ticket& ticket,
                     std::optional<Response>& response) {
  const py::gil_scoped_release release;
  response = self.served->try_run_inline(inputs.tensors, options);
  if (response) return Status::ok();
  return self.served->submit(std::vector<Tensor>(inputs.tensors), options, borrowed_sink(sink), 0,
                             &ticket);
}

// Blocks until the request ends. Ctrl-C cancels it and is raised once it has ended.
Response wait_for_answer(Servable& served, WaitingSink& sink, Ticket ticket) {
  bool interrupted = false;
  for (;;) {
    {
      const py::gil_scoped_release release;
      if (sink.wait_for(kSignalCheck)) break;
    }
    if (!interrupted && PyErr_CheckSignals() != 0) {
      interrupted = true;
      served.cancel(ticket);
    }
  }
  if (interrupted) throw py::error_already_set();
  return sink.take();
}

std::shared_ptr<ResultObject> try_run_inline(const ModelObject& self, const InputsObject& inputs,
                                             int priority, std::optional<double> timeout_ms,
                                             std::int64_t max_batch_rows,
                                             std::uint64_t outputs_wanted, bool is_alone) {
  drop_parked_references();
  const RequestOptions options =
      options_of(priority, timeout_ms, max_batch_rows, outputs_wanted, is_alone);
  // The GIL stays: an inline execution is shorter than giving it away and getting it back.
  std::optional<Response> response = self.served->try_run_inline(inputs.tensors, options);
  return response ? result_of(std::move(*response)) : nullptr;
}

std::shared_ptr<ResultObject> run(const ModelObject& self, const InputsObject& inputs, int priority,
                                  std::optional<double> timeout_ms, std::int64_t max_batch_rows,
                                  std::uint64_t outputs_wanted, bool is_alone) {
  drop_parked_references();
  RequestOptions options =
      options_of(priority, timeout_ms, max_batch_rows, outputs_wanted, is_alone);
  std::optional<Response> response = self.served->try_run_inline(inputs.tensors, options);
  if (response) return result_of(std::move(*response));
  options.caller_waits = true;
  WaitingSink sink;
  Ticket ticket;
  raise_unless_ok(run_or_submit(self, inputs, options, sink, ticket, response));
  if (response) return result_of(std::move(*response));
  return result_of(wait_for_answer(*self.served, sink, ticket));
}

std::uint64_t submit(const ModelObject& self, const InputsObject& inputs,
                     const std::shared_ptr<CompletionQueue>& queue, std::uint64_t tag, int priority,
                     std::optional<double> timeout_ms, std::int64_t max_batch_rows,
                     std::uint64_t outputs_wanted, bool is_alone) {
  drop_parked_references();
  Ticket ticket;
  raise_unless_ok(self.served->submit(
      std::vector<Tensor>(inputs.tensors),
      options_of(priority, timeout_ms, max_batch_rows, outputs_wanted, is_alone), queue, tag,
      &ticket));
  return ticket.packed();
}

void warm_up(const ModelObject& self, const InputsObject& inputs, std::uint64_t outputs_wanted,
             double budget_s) {
  Status status;
  {
    const py::gil_scoped_release release;
    const auto budget_ns = static_cast<Nanoseconds>(std::clamp(budget_s, 0.0, 1e6) * 1e9);
    status = self.served->warm_up(inputs.tensors, outputs_wanted, now_ns() + budget_ns);
  }
  raise_unless_ok(status);
}

void set_instances(const ModelObject& self, std::size_t count) {
  Status status;
  {
    const py::gil_scoped_release release;
    status = self.served->set_instances(count);
  }
  raise_unless_ok(status);
}

void close(const ModelObject& self, double drain_timeout_s) {
  const py::gil_scoped_release release;
  self.served->close(now_ns() +
                     static_cast<Nanoseconds>(std::clamp(drain_timeout_s, 0.0, 1e6) * 1e9));
}

py::list triples_of(const std::vector<TensorSpec>& specs) {
  py::list triples;
  for (const TensorSpec& spec : specs) triples.append(triple_of(spec));
  return triples;
}

py::dict summary_of(const Histogram& histogram) {
  const HistogramSnapshot snapshot = histogram.snapshot();
  return py::dict("count"_a = snapshot.count, "sum_ns"_a = snapshot.sum_ns,
                  "max_ns"_a = snapshot.max_ns, "p50_ns"_a = snapshot.percentile_ns(50),
                  "p95_ns"_a = snapshot.percentile_ns(95), "p99_ns"_a = snapshot.percentile_ns(99));
}

py::dict stats_of(const ModelObject& self) {
  const ModelStats& stats = self.served->stats();
  const Nanoseconds last_used_ns = stats.last_used_ns.value();
  py::object idle_s = py::none();
  if (last_used_ns != 0) idle_s = py::float_(static_cast<double>(now_ns() - last_used_ns) / 1e9);
  py::object lost = py::none();
  Status health;
  std::uint64_t restarts = 0;
  {
    const py::gil_scoped_release release;  // both wait for a mutex, if only briefly
    health = self.served->health();
    restarts = self.served->restarts();
  }
  if (!health.is_ok()) lost = py::str(health.message());
  return py::dict("succeeded"_a = stats.succeeded.value(), "failed"_a = stats.failed.value(),
                  "rejected"_a = stats.rejected.value(), "abandoned"_a = stats.abandoned.value(),
                  "rows"_a = stats.rows.value(), "executions"_a = stats.executions.count(),
                  "inline_executions"_a = stats.inline_executions.value(),
                  "execute_ns_sum"_a = stats.execute_ns_sum.value(),
                  "last_execute_ns"_a = stats.last_execute_ns.value(), "idle_s"_a = idle_s,
                  "max_batch_rows_seen"_a = stats.max_batch_rows_seen.value(),
                  "queue_size"_a = self.served->approx_queue_size(), "restarts"_a = restarts,
                  "lost"_a = lost,
                  "stages"_a = py::dict("queue"_a = summary_of(stats.stages.queue),
                                        "batch"_a = summary_of(stats.stages.batch),
                                        "stage"_a = summary_of(stats.stages.stage),
                                        "execute"_a = summary_of(stats.stages.execute),
                                        "complete"_a = summary_of(stats.stages.complete),
                                        "total"_a = summary_of(stats.stages.total)));
}

// Sum, and how many values are at most each bound, then how many there are.
py::tuple counts_of(const Histogram& histogram, const std::vector<Nanoseconds>& bounds_ns) {
  const HistogramSnapshot snapshot = histogram.snapshot();
  std::vector<std::uint64_t> counts = snapshot.counts_up_to(bounds_ns);
  counts.push_back(snapshot.count);
  return py::make_tuple(snapshot.sum_ns, py::tuple(py::cast(counts)));
}

py::dict counts_of_model(const ModelObject& self, const std::vector<Nanoseconds>& bounds_ns) {
  const ModelStats& stats = self.served->stats();
  py::tuple rows(RowsHistogram::kBuckets);
  std::uint64_t executions = 0;
  for (std::size_t i = 0; i < RowsHistogram::kBuckets; ++i) {
    executions += stats.executions.in_bucket(i);
    rows[i] = executions;
  }
  py::dict stages;
  const StageHistograms& all = stats.stages;
  for (const auto& [name, stage] : {std::pair{"queue", &all.queue},
                                    {"batch", &all.batch},
                                    {"stage", &all.stage},
                                    {"execute", &all.execute},
                                    {"complete", &all.complete},
                                    {"total", &all.total}}) {
    stages[name] = counts_of(*stage, bounds_ns);
  }
  return py::dict(
      "succeeded"_a = stats.succeeded.value(), "failed"_a = stats.failed.value(),
      "rejected"_a = stats.rejected.value(), "abandoned"_a = stats.abandoned.value(),
      "rows"_a = stats.rows.value(), "execute_ns_sum"_a = stats.execute_ns_sum.value(),
      "inline_executions"_a = stats.inline_executions.value(),
      "restarts"_a = self.served->restarts(), "queue_size"_a = self.served->approx_queue_size(),
      "busy_instances"_a = self.served->busy_instances(),
      "batch_rows"_a = py::make_tuple(stats.executions.rows(), rows), "stages"_a = stages);
}

}  // namespace

void register_model(py::module_& module) {
  py::class_<HistogramSnapshot>(module, "Latencies")
      .def(py::init<>())
      .def_readonly("count", &HistogramSnapshot::count)
      .def_readonly("sum_ns", &HistogramSnapshot::sum_ns)
      .def_readonly("max_ns", &HistogramSnapshot::max_ns)
      .def("percentile_ns", &HistogramSnapshot::percentile_ns, "percent"_a)
      .def("__add__", [](const HistogramSnapshot& a, const HistogramSnapshot& b) { return a + b; })
      .def("__sub__", [](const HistogramSnapshot& a, const HistogramSnapshot& b) { return a - b; });
  py::class_<Histogram>(module, "LatencyHistogram")
      .def(py::init<>())
      .def("record_ns", &Histogram::record, "value_ns"_a)
      .def("snapshot", &Histogram::snapshot);
  py::class_<ModelObject, std::shared_ptr<ModelObject>>(module, "Model")
      .def_property_readonly("name", [](const ModelObject& self) { return self.served->name(); })
      .def_property_readonly(
          "inputs", [](const ModelObject& self) { return triples_of(self.served->spec().inputs); })
      .def_property_readonly(
          "outputs",
          [](const ModelObject& self) { return triples_of(self.served->spec().outputs); })
      .def_property_readonly("batchable",
                             [](const ModelObject& self) { return self.served->spec().batchable; })
      .def_property_readonly("is_batching",
                             [](const ModelObject& self) { return self.served->is_batching(); })
      .def_property_readonly("instances",
                             [](const ModelObject& self) { return self.served->instances(); })
      .def("run", &run, "inputs"_a, py::kw_only(), "priority"_a = 0, "timeout_ms"_a = py::none(),
           "max_batch_rows"_a = 0, "outputs_wanted"_a = ~std::uint64_t{0}, "is_alone"_a = false)
      .def("try_run_inline", &try_run_inline, "inputs"_a, py::kw_only(), "priority"_a = 0,
           "timeout_ms"_a = py::none(), "max_batch_rows"_a = 0,
           "outputs_wanted"_a = ~std::uint64_t{0}, "is_alone"_a = false)
      .def("submit", &submit, "inputs"_a, "queue"_a, "tag"_a, py::kw_only(), "priority"_a = 0,
           "timeout_ms"_a = py::none(), "max_batch_rows"_a = 0,
           "outputs_wanted"_a = ~std::uint64_t{0}, "is_alone"_a = false)
      .def(
          "cancel",
          [](const ModelObject& self, std::uint64_t ticket) {
            return self.served->cancel(Ticket::unpack(ticket));
          },
          "ticket"_a)
      .def("warm_up", &warm_up, "inputs"_a, py::kw_only(), "outputs_wanted"_a, "budget_s"_a)
      .def("set_instances", &set_instances, "count"_a)
      .def(
          "set_max_batch_rows",
          [](const ModelObject& self, std::int64_t rows) { self.served->set_max_batch_rows(rows); },
          "rows"_a)
      .def_property_readonly("is_busy",
                             [](const ModelObject& self) { return self.served->is_busy(); })
      .def("close", &close, "drain_timeout_s"_a = 10.0)
      .def("latencies",
           [](const ModelObject& self) { return self.served->stats().stages.total.snapshot(); })
      .def("counts", &counts_of_model, "bounds_ns"_a)
      .def("stats", &stats_of);
  // Keeps the Python model, so that its last share, which joins workers, goes without the GIL.
  py::class_<QuickCall>(module, "QuickCall")
      .def(py::init<std::shared_ptr<ModelObject>, std::size_t, std::uint64_t, bool>(), "model"_a,
           "output"_a, "outputs_wanted"_a, "accepts_missing"_a, py::keep_alive<1, 2>())
      .def("run", &QuickCall::run, "x"_a);
}

}  // namespace slipstream::bindings
