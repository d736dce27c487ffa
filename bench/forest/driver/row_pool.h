// RowPool: deals the rows of a batch to threads, for rivals that are a plain function.
//
// lleaves and TL2cgen compile a model to one function without threads; their Python packages split
// batches over a thread pool, and so does this, with less to pay. With one thread it is a call.
// Threads: run() from one at a time. Ownership: joins its threads when destroyed. Failure: the work
// must not throw.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace slipstream::bench {

class RowPool {
 public:
  using Work = std::function<void(std::size_t begin, std::size_t end)>;

  RowPool(int threads, Work work);
  ~RowPool();
  RowPool(const RowPool&) = delete;
  RowPool& operator=(const RowPool&) = delete;

  // Does rows [0, count) and returns when all are done.
  void run(std::size_t count);

 private:
  void loop(std::size_t place);
  void do_share(std::size_t place, std::size_t count) const;

  const Work work_;
  const std::size_t shares_;
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  std::size_t round_ = 0;
  std::size_t count_ = 0;
  std::size_t running_ = 0;
  bool ending_ = false;
  std::vector<std::thread> helpers_;  // last: they use everything above
};

}  // namespace slipstream::bench
