#include "bindings/predict_route.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "bindings/python_owner.h"
#include "core/clock.h"
#include "wire/predict_answer.h"
#include "wire/text.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

constexpr double kLongestTimeoutMs = 86'400'000;  // as the general way: a day

// The documented names of priorities; nullopt for another one.
std::optional<int> level_of(std::string_view name) noexcept {
  if (name.empty() || name == "normal") return kNormalPriority;
  if (name == "low") return kLowPriority;
  if (name == "high") return kHighPriority;
  if (name == "urgent") return kUrgentPriority;
  return std::nullopt;
}

std::string_view view_of(const py::str& text) {
  Py_ssize_t size = 0;
  const char* const begin = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (begin == nullptr) throw py::error_already_set();
  return {begin, static_cast<std::size_t>(size)};
}

std::string_view view_of(const py::bytes& bytes) {
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

Outcome refused(const Status& status) {
  return {.kind = Outcome::Kind::kRefused, .body = {}, .status = status, .tag = 0};
}

Outcome answered(py::bytes body) {
  return {.kind = Outcome::Kind::kAnswered, .body = std::move(body), .status = {}, .tag = 0};
}

// Whether JSON holds the text as it is.
bool is_plain(std::string_view text) noexcept {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  return wire::skip_plain_text(begin, end) == end;
}

}  // namespace

PredictRoute::PredictRoute(py::dict endpoints, double default_timeout_ms,
                           std::int64_t max_batch_rows, bool is_batch)
    : endpoints_(std::move(endpoints)),
      default_timeout_ms_(default_timeout_ms),
      max_batch_rows_(max_batch_rows),
      is_batch_(is_batch) {}

std::shared_ptr<const Endpoint> PredictRoute::find(std::string_view model_id) const {
  const py::str key(model_id.data(), model_id.size());
  PyObject* const found = PyDict_GetItemWithError(endpoints_.ptr(), key.ptr());  // borrowed
  if (found == nullptr) {
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return nullptr;
  }
  return py::cast<std::shared_ptr<Endpoint>>(py::handle(found));
}

RequestOptions PredictRoute::options_of(const wire::PlainEnvelope& envelope,
                                        const Endpoint& endpoint, int priority) const {
  const double own_ms = endpoint.default_timeout_ms();
  const double default_ms = own_ms > 0 ? own_ms : default_timeout_ms_;
  const double timeout_ms =
      envelope.timeout_ms > 0 ? std::min(envelope.timeout_ms, kLongestTimeoutMs) : default_ms;
  return {.priority = priority,
          .deadline_ns = now_ns() + static_cast<Nanoseconds>(timeout_ms * 1e6),
          .max_batch_rows = std::min(envelope.batch_size, max_batch_rows_),
          .outputs_wanted = endpoint.outputs_wanted(envelope.wants_probabilities)};
}

Outcome PredictRoute::answer(const py::bytes& body, const py::str& request_id,
                             const py::str& timestamp, py::object who) {
  drop_parked_references();
  wire::PlainEnvelope envelope;
  const std::string_view id = view_of(request_id);
  if (!wire::read_plain_envelope(view_of(body), envelope) || !is_plain(id)) return {};
  const std::optional<int> priority = level_of(envelope.priority);
  if (!priority) return {};
  const std::shared_ptr<const Endpoint> endpoint = find(envelope.model_id);
  if (endpoint == nullptr) return {};
  if (envelope.wants_probabilities && !endpoint->has_probabilities()) return {};

  Result<std::vector<Tensor>> decoded = endpoint->decode(envelope.data);
  if (!decoded.is_ok()) {
    // Where the flaw is counts from the body's beginning: the general way knows that.
    if (decoded.status().code() == StatusCode::kMalformed) return {};
    return refused(decoded.status());
  }
  std::vector<Tensor> inputs = std::move(decoded).value();
  const std::int64_t rows = inputs.front().rows();
  const RequestOptions options = options_of(envelope, *endpoint, *priority);
  // The GIL stays: an inline execution is shorter than giving it away and getting it back.
  if (const auto response = endpoint->served().try_run_inline(inputs, options)) {
    if (!response->status.is_ok()) return refused(response->status);
    return answered(
        write(*endpoint, *response, envelope.wants_probabilities, id, view_of(timestamp), rows));
  }
  return submit(std::move(inputs), options,
                {.who = std::move(who),
                 .endpoint = endpoint,
                 .ticket = {},
                 .rows = rows,
                 .request_id = std::string(id),
                 .wants_probabilities = envelope.wants_probabilities});
}

Outcome PredictRoute::submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                             Waiting&& waiting) {
  const std::uint64_t tag = next_tag_++;
  // Before the request is accepted: from then on nothing may fail here.
  const auto place = waiting_.emplace(tag, std::move(waiting)).first;
  Waiting& kept = place->second;
  const Status status =
      kept.endpoint->served().submit(std::move(inputs), options, queue_, tag, &kept.ticket);
  if (!status.is_ok()) {
    waiting_.erase(place);
    // The model may have been reloaded since it was looked up: the general way asks its successor.
    if (status.code() == StatusCode::kUnavailable) return {};
    return refused(status);
  }
  return {.kind = Outcome::Kind::kWaits, .body = {}, .status = {}, .tag = tag};
}

py::bytes PredictRoute::write(const Endpoint& endpoint, const Response& response,
                              bool probabilities, std::string_view request_id,
                              std::string_view timestamp, std::int64_t rows) const {
  std::string text;
  text.reserve(512);
  endpoint.append_arrays(response, probabilities, text);
  const wire::AnswerTail tail{.model_id = endpoint.model_id(),
                              .request_id = request_id,
                              .timestamp = timestamp,
                              .inference_time_s = static_cast<double>(response.total_ns) / 1e9,
                              .rows = rows};
  if (is_batch_) {
    wire::append_batch_tail(tail, text);
  } else {
    wire::append_predict_tail(tail, text);
  }
  return {text.data(), text.size()};
}

Outcome PredictRoute::outcome_of(const Waiting& waiting, const Response& response,
                                 std::string_view timestamp) {
  if (!response.status.is_ok()) return refused(response.status);
  try {
    return answered(write(*waiting.endpoint, response, waiting.wants_probabilities,
                          waiting.request_id, timestamp, waiting.rows));
  } catch (const std::exception&) {  // of one answer: the others must not be lost with it
    PyErr_Clear();
    return refused(resource_exhausted("out of memory while writing the answer"));
  }
}

std::vector<std::pair<py::object, Outcome>> PredictRoute::drain(const py::str& timestamp) {
  drop_parked_references();
  std::vector<std::pair<py::object, Outcome>> outcomes;
  outcomes.reserve(waiting_.size());  // before anything is taken out of the queue
  queue_->drain(ended_);
  for (auto& [tag, completed] : ended_) {
    const Response response = std::move(completed);
    const auto place = waiting_.find(tag);
    Waiting waiting = std::move(place->second);
    waiting_.erase(place);
    outcomes.emplace_back(waiting.who, outcome_of(waiting, response, view_of(timestamp)));
  }
  ended_.clear();
  return outcomes;
}

void PredictRoute::cancel(std::uint64_t tag) {
  const auto place = waiting_.find(tag);
  if (place != waiting_.end()) place->second.endpoint->served().cancel(place->second.ticket);
}

}  // namespace slipstream::bindings
