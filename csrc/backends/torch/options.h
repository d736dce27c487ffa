// TorchOptions: what a torch file does not say of itself, and how it is run.
//
//   kind              script: a TorchScript archive; package: an AOTInductor package (.pt2)
//   inputs, outputs   required: one line a tensor, "DTYPE DIMS NAME", DIMS as in "-1,3,224" with -1
//                     for any size, and "-" for none: "float32 -1,512 x\nint64 - rate". Names are
//                     places in what forward() takes and gives (layout.h)
//   states            of a script: attributes that forward() changes, one line each, as in
//                     "encoder.hidden"; they become one more input and output (state.h)
//   batchable         whether rows of several requests may share an execution (default false)
//   copy_inputs       whether forward() writes to its inputs, which then are copies (default false)
//   intra_op_threads  threads that one operator may use, 1 to 256 (default 1: parallelism comes
//   from
//                     instances)
//   runners           of a package on the cpu: executions side by side, 1 to 256 (default 1)
//   sizes             of a package: what its machine code relies on and does not check. One line a
//                     name, "NAME LEAST MOST PLACE...", PLACE as in "0:1" for axis 1 of input 0:
//                     these axes have one size, in this range
//   device            cpu (default), cuda:N, or several of those with commas, which instances are
//                     spread over
//   slots             on a GPU: batches on the device at once, 1 to 8 (default 3)
//   graph_rows        on a GPU: batches of up to so many rows are recorded as CUDA graphs where the
//                     model can be, 64 for example (default 0: none, until that has run on
//                     hardware)
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <string>
#include <vector>

#include "core/backend.h"

namespace slipstream::libtorch {

enum class Kind { kScript, kPackage };

struct Axis {
  std::size_t input;
  std::size_t axis;
};

// Axes that have one size, and its range.
struct SizeRule {
  std::string name;
  std::int64_t least = 0;
  std::int64_t most = 0;
  std::vector<Axis> places;
};

struct TorchOptions {
  Kind kind = Kind::kScript;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::vector<std::string> states;
  bool batchable = false;
  bool copy_inputs = false;
  int intra_op_threads = 1;
  int runners = 1;
  std::vector<SizeRule> sizes;
  std::vector<int> devices;  // empty: on the cpu
  std::size_t slots = 3;
  std::int64_t graph_rows = 0;

  // Throws std::bad_alloc.
  [[nodiscard]] static Result<TorchOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::libtorch
