#include "load/client.h"

#include <string>

#include "conformance/samples.h"
#include "core/clock.h"
#include "harness.h"
#include "wire/decode.h"
#include "wire/encode.h"

namespace slipstream::load {

bool Inbox::complete(std::uint64_t tag, Response&& response) noexcept {
  const std::scoped_lock lock(mutex_);
  items_.emplace_back(tag, std::move(response));
  return true;
}

void Inbox::flush() noexcept {
  flushes_.fetch_add(1);
  flushes_.notify_one();
}

std::vector<std::pair<std::uint64_t, Response>> Inbox::take() {
  for (;;) {
    const std::uint32_t seen = flushes_.load();
    {
      const std::scoped_lock lock(mutex_);
      if (!items_.empty()) return std::exchange(items_, {});
    }
    flushes_.wait(seen);
  }
}

void Client::run(const std::atomic<bool>& stop) {
  while (!stop.load()) {
    send();
    if (on_their_way_.size() >= kMostOnTheirWay) receive();
  }
  while (!on_their_way_.empty()) receive();
}

void Client::send() {
  const Body& body = bodies_.all[random_() % bodies_.all.size()];
  auto decoded = decode_inputs(body.json, bodies_.schema, {}, std::pmr::new_delete_resource());
  if (body.answer.empty()) {
    CHECK(!decoded.is_ok());
    ++counts_.refused_documents;
    return;
  }
  REQUIRE(decoded.is_ok());
  std::vector<Tensor> inputs = std::move(decoded).value();
  RequestOptions options{.priority = static_cast<int>(random_() % 12) - 1};
  if (random_() % 16 == 0) options.deadline_ns = now_ns() + 50'000;
  if (random_() % 4 == 0) options.max_batch_rows = 2;
  if (const auto response = served_.try_run_inline(inputs, options)) {
    ++counts_.inline_answers;
    compare(*response, body);
    return;
  }
  submit(std::move(inputs), options, body);
}

void Client::submit(std::vector<Tensor>&& inputs, const RequestOptions& options, const Body& body) {
  const std::uint64_t tag = next_tag_++;
  Ticket ticket;
  const Status status = served_.submit(std::move(inputs), options, inbox_, tag, &ticket);
  if (!status.is_ok()) {
    const StatusCode code = status.code();
    CHECK(code == StatusCode::kResourceExhausted || code == StatusCode::kDeadlineExceeded);
    return;
  }
  ++counts_.accepted;
  on_their_way_.emplace(tag, &body);
  if (random_() % 32 == 0) served_.cancel(ticket);
}

void Client::receive() {
  for (const auto& [tag, response] : inbox_->take()) {
    const auto place = on_their_way_.find(tag);
    if (place == on_their_way_.end()) {
      CHECK_EQ("a completion of " + std::to_string(tag), "awaited");
      continue;
    }
    const StatusCode code = response.status.code();
    if (code == StatusCode::kOk) {
      ++counts_.answered;
      compare(response, *place->second);
    } else {
      ++counts_.ended_early;
      CHECK(code == StatusCode::kCancelled || code == StatusCode::kDeadlineExceeded);
    }
    on_their_way_.erase(place);
  }
}

void Client::compare(const Response& response, const Body& body) {
  std::string json;
  for (const Tensor& output : response.outputs) encode_tensor(output, json);
  const std::string differs = conformance::difference(response.outputs, body.answer, false);
  if (!response.status.is_ok() || json.empty() || !differs.empty()) {
    ++counts_.wrong;
    CHECK_EQ(differs, "");
  }
}

}  // namespace slipstream::load
