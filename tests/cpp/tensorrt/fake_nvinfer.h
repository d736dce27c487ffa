// What a test may ask the fake TensorRT runtime (fake_nvinfer.cc), beside what the backend does.
//
// The fake is a libnvinfer.so: it has the two entries that the backend resolves, and hands out
// TensorRT's own classes with an implementation behind them that computes y = 2x on a stream of the
// fake CUDA driver (tests/cpp/cuda). Its "plans" are a real plan's header and then text
// (plan_writer.h). It checks what a real one would crash on: that a device is entered, that shapes
// are within the profile, that every address was set, that there is memory for what is between, and
// that an engine goes after its contexts. As a real one it keeps state with the context: what was
// recorded of one computes wrongly once its shapes were changed, and nothing is recorded before it
// was executed in these. And it holds the primary context of a device on which it has made an
// engine to the end of the process.
//
// Threads: any.
#pragma once

#include <cstdint>

#define FAKE_NVINFER_API extern "C" __attribute__((visibility("default")))

// Runtimes, engines and contexts that exist now.
FAKE_NVINFER_API int fake_nvinfer_objects();
// Engines made so far.
FAKE_NVINFER_API int fake_nvinfer_engines();
// Executions put on streams so far.
FAKE_NVINFER_API int fake_nvinfer_executions();
// Calls that a real runtime would not have survived.
FAKE_NVINFER_API int fake_nvinfer_misuses();
// The execution after so many more is refused; -1: none.
FAKE_NVINFER_API void fake_nvinfer_refuse_execution(int after);
// The context after so many more cannot be made, for want of memory; -1: none.
FAKE_NVINFER_API void fake_nvinfer_refuse_context(int after);
// It does not start, as without a driver, and answers what real ones do then: no null pointer.
FAKE_NVINFER_API void fake_nvinfer_refuse_start(bool refuses);
