#include "cuda/graph.h"

namespace slipstream::cuda {

Result<std::unique_ptr<device::Graph>> CudaGraph::create(const std::shared_ptr<Context>& context,
                                                         CUgraph recorded) {
  CUgraphExec handle = nullptr;
  Status status = context->check(context->call().graph_instantiate(&handle, recorded, 0),
                                 "cuGraphInstantiateWithFlags");
  context->destroy([&] { return context->call().graph_destroy(recorded); });
  if (!status.is_ok()) return status;
  return std::unique_ptr<device::Graph>(std::make_unique<CudaGraph>(context, handle));
}

CudaGraph::~CudaGraph() {
  context_->destroy([this] { return context_->call().graph_exec_destroy(handle_); });
}

}  // namespace slipstream::cuda
