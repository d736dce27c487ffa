// PredictRoute: a prediction over HTTP from the bytes of its body to the bytes of its answer, in
// one call from Python.
//
// What a server adds to a model of a few microseconds is mostly the interpreter: an envelope
// object, a request, a result, an answer object, a call for each. This is the way for what nearly
// every client sends (wire/envelope.h); for anything else `answer` returns None and the general way
// (python/slipstream/http/routes/predict.py) answers, or says what is wrong. Both give the same
// answer and count the same.
//
// Threads: any, with the GIL, which guards everything here. Failures of a request are outcomes with
// the Status that the general way would raise.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings/completion_queue.h"
#include "bindings/endpoint.h"
#include "core/request_pool.h"
#include "wire/envelope.h"

namespace slipstream::bindings {

// What became of a request.
struct Outcome {
  enum class Kind : std::uint8_t { kAnswered, kRefused, kWaits, kDeclined };

  Kind kind = Kind::kDeclined;
  pybind11::object body;  // kAnswered: bytes
  Status status;          // kRefused: why
  std::uint64_t tag = 0;  // kWaits
};

class PredictRoute {
 public:
  // `endpoints` is the caller's dict of Endpoints by model id or alias, which it changes as it
  // loads and unloads. `default_timeout_ms` and `max_batch_rows` are what the general way applies.
  // `is_batch`: answers are those of POST predict/batch.
  PredictRoute(pybind11::dict endpoints, double default_timeout_ms, std::int64_t max_batch_rows,
               bool is_batch);

  // Answers at once, refuses, or takes the request (then `drain` will return `who` with the
  // outcome). Declined: nothing has happened; the general way must answer.
  [[nodiscard]] Outcome answer(const pybind11::bytes& body, const pybind11::str& request_id,
                               const pybind11::str& timestamp, pybind11::object who);

  // The requests that have ended since the last call, each with its answer or why there is none.
  // One thread.
  [[nodiscard]] std::vector<std::pair<pybind11::object, Outcome>> drain(
      const pybind11::str& timestamp);

  // Withdraws a waiting request; `drain` returns it all the same.
  void cancel(std::uint64_t tag);

  // From now on.
  void set_max_batch_rows(std::int64_t rows) noexcept { max_batch_rows_ = rows; }

  [[nodiscard]] int file_descriptor() const noexcept { return queue_->file_descriptor(); }

 private:
  struct Waiting {
    pybind11::object who;
    std::shared_ptr<const Endpoint> endpoint;
    Ticket ticket;
    std::int64_t rows;
    std::string request_id;
    bool wants_probabilities;
  };

  [[nodiscard]] std::shared_ptr<const Endpoint> find(std::string_view model_id) const;
  [[nodiscard]] RequestOptions options_of(const wire::PlainEnvelope& envelope,
                                          const Endpoint& endpoint, int priority) const;
  [[nodiscard]] Outcome submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                               Waiting&& waiting);
  [[nodiscard]] Outcome outcome_of(const Waiting& waiting, const Response& response,
                                   std::string_view timestamp);
  [[nodiscard]] pybind11::bytes write(const Endpoint& endpoint, const Response& response,
                                      bool probabilities, std::string_view request_id,
                                      std::string_view timestamp, std::int64_t rows) const;

  pybind11::dict endpoints_;
  double default_timeout_ms_;
  std::int64_t max_batch_rows_;
  bool is_batch_;
  std::shared_ptr<CompletionQueue> queue_ = std::make_shared<CompletionQueue>();
  std::vector<CompletionQueue::Item> ended_;  // reused by every drain
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::uint64_t next_tag_ = 1;
};

}  // namespace slipstream::bindings
