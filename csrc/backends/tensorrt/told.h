// Told: what TensorRT says, for the Status of the call that it says it in.
//
// TensorRT reports by its log. It has one for the whole process, the first that it was given, so
// ours is immortal, and whoever wants to know what a call of his makes it say opens a Told around
// that call. What is said on other threads meanwhile, and is nobody's there, is taken as well, if
// this thread heard nothing. Both are bounded; nothing is ever printed.
//
// Threads: any; a Told is of the thread that made it, and of the innermost scope there.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <vector>

namespace slipstream::tensorrt {

class Told {
 public:
  Told() noexcept;
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;
  ~Told();

  // Its errors, or if there were none its warnings; empty if it said nothing. Throws
  // std::bad_alloc.
  [[nodiscard]] std::string text() const;

  // What TensorRT is given.
  [[nodiscard]] static nvinfer1::ILogger& log() noexcept;

 private:
  friend class ProcessLog;

  Told* const outer_;
  std::vector<std::string> errors_;
  std::vector<std::string> warnings_;
};

}  // namespace slipstream::tensorrt
