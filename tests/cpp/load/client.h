// A client of the load driver: decodes documents, asks for them inline or through the queue,
// encodes the answers and compares them. Each runs on a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/completion.h"
#include "core/served_model.h"
#include "load/bodies.h"

namespace slipstream::load {

// Completions on their way to one client.
class Inbox : public CompletionSink {
 public:
  bool complete(std::uint64_t tag, Response&& response) noexcept override;
  void flush() noexcept override;

  // Blocks until something has come.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, Response>> take();

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::uint64_t, Response>> items_;  // guarded by mutex_
  std::atomic<std::uint32_t> flushes_{0};
};

struct Counts {
  std::uint64_t refused_documents = 0;
  std::uint64_t inline_answers = 0;
  std::uint64_t accepted = 0;     // by the queue
  std::uint64_t answered = 0;     // of those, with outputs
  std::uint64_t ended_early = 0;  // of those, by deadline or cancellation
  std::uint64_t wrong = 0;
};

class Client {
 public:
  Client(ServedModel& served, const Bodies& bodies, std::uint64_t seed)
      : served_(served), bodies_(bodies), random_(seed) {}

  // Sends until `stop`, then waits for what is on its way.
  void run(const std::atomic<bool>& stop);

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  void send();
  void submit(std::vector<Tensor>&& inputs, const RequestOptions& options, const Body& body);
  void receive();
  void compare(const Response& response, const Body& body);

  static constexpr std::size_t kMostOnTheirWay = 16;

  ServedModel& served_;
  const Bodies& bodies_;
  std::mt19937_64 random_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::unordered_map<std::uint64_t, const Body*> on_their_way_;
  std::uint64_t next_tag_ = 1;
  Counts counts_;
};

}  // namespace slipstream::load
