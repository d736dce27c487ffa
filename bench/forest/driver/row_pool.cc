#include "row_pool.h"

#include <utility>

namespace slipstream::bench {

RowPool::RowPool(int threads, Work work)
    : work_(std::move(work)), shares_(threads < 1 ? 1 : static_cast<std::size_t>(threads)) {
  for (std::size_t place = 1; place < shares_; ++place) {
    helpers_.emplace_back([this, place] { loop(place); });
  }
}

RowPool::~RowPool() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  started_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void RowPool::run(std::size_t count) {
  if (helpers_.empty() || count < shares_) {
    work_(0, count);
    return;
  }
  {
    const std::scoped_lock lock(mutex_);
    ++round_;
    count_ = count;
    running_ = helpers_.size();
  }
  started_.notify_all();
  do_share(0, count);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return running_ == 0; });
}

void RowPool::loop(std::size_t place) {
  std::size_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    started_.wait(lock, [this, seen] { return ending_ || round_ != seen; });
    if (ending_) return;
    seen = round_;
    const std::size_t count = count_;
    lock.unlock();
    do_share(place, count);
    lock.lock();
    if (--running_ == 0) finished_.notify_one();
  }
}

void RowPool::do_share(std::size_t place, std::size_t count) const {
  work_(count * place / shares_, count * (place + 1) / shares_);
}

}  // namespace slipstream::bench
