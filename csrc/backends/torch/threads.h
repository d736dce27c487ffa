// How many threads one operator may use: libtorch keeps that number per thread of the caller.
//
// An execution may run on a thread that is not ours (a caller that waits for its answer), and whose
// owner may use torch there. So the number is put back; at::set_num_threads() would cost more than
// a small operator each time, since it forgets what oneDNN has prepared.
#pragma once

namespace slipstream::libtorch {

// While it lives, operators of this thread use `count` threads.
class ThreadsScope {
 public:
  explicit ThreadsScope(int count);
  ~ThreadsScope();
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
  int mkl_before_ = 0;
};

}  // namespace slipstream::libtorch
