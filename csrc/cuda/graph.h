// device::Graph as an executable graph of CUDA's.
#pragma once

#include <memory>

#include "core/status.h"
#include "cuda/context.h"
#include "device/device.h"

namespace slipstream::cuda {

class CudaGraph final : public device::Graph {
 public:
  // Takes over `recorded`, whatever comes of it. Throws std::bad_alloc.
  [[nodiscard]] static Result<std::unique_ptr<device::Graph>> create(
      const std::shared_ptr<Context>& context, CUgraph recorded);
  // With create(), which is the one to call.
  CudaGraph(const std::shared_ptr<Context>& context, CUgraphExec handle) noexcept
      : context_(context), handle_(handle) {}
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  ~CudaGraph() override;

  [[nodiscard]] CUgraphExec handle() const noexcept { return handle_; }

 private:
  Share context_;
  CUgraphExec handle_;
};

}  // namespace slipstream::cuda
