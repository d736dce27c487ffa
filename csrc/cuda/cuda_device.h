// A device of NVIDIA's, as device/device.h describes devices, on the driver API.
//
// When to use: for whatever runs on a GPU beside ONNX Runtime, torch or TensorRT in this process:
// it uses the device's primary context, which is theirs too, so that their kernels can be put on
// its streams and its memory be given to them. When not: only to report what there is (survey.h).
//
// No CUDA header is needed to include this. In a build without them, open() says so.
// Threads, ownership: as device.h says; streams, events and blocks keep what they need of the
// device and may outlive it. Destroying them enters the device by itself. What blocks: allocating,
// giving memory back, open(), drain() and recover(). Nothing else does. Destroying a stream does
// not wait for what is on it. Failure: as device.h says. CUDA's sticky errors lose the device for
// the whole process, whichever library caused them: see recover() below. A function given to
// Stream::call() that had begun when the device was lost may outlast drain(), which CUDA then
// answers at once.
#pragma once

#include <memory>

#include "core/status.h"
#include "cuda/survey.h"
#include "device/device.h"

namespace slipstream::cuda {

class CudaDevice : public device::Device {
 public:
  // The device of that index, the same one for all who hold it at a time, since they share the
  // context and so its loss; in each shared library that links this, that is. Makes the context if
  // this process has none on that device.
  [[nodiscard]] static Result<std::shared_ptr<CudaDevice>> open(int index) noexcept;

  [[nodiscard]] virtual const CudaProperties& properties() const noexcept = 0;

  // What is lost is the primary context, and other libraries have handles in it that they believe
  // to be good: resetting it under them (cuDevicePrimaryCtxReset) would turn an error into a crash.
  // So it is only given back (cuDevicePrimaryCtxRelease), which destroys it where nobody else holds
  // it. If it is gone then, it is made anew and tried out, and only a copy there and back that
  // works makes the device healthy. In every other case the answer is kUnavailable and says that
  // the process must be started again, as NVIDIA's documentation does for nearly all of these
  // errors.
  // Giving it back frees all memory in it, pinned memory too. So every stream, event and block has
  // to be destroyed before, and every thread but the calling one to have left; until then the
  // answer is kUnavailable as well.
  [[nodiscard]] Status recover() noexcept override = 0;
};

}  // namespace slipstream::cuda
