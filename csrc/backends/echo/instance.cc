#include "backends/echo/instance.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <thread>

namespace slipstream::echo {
namespace {

// Equal where the spec names a size, anything where it says -1.
bool fits(std::span<const std::int64_t> dims, std::span<const std::int64_t> expected) {
  return std::ranges::equal(dims, expected, [](std::int64_t dim, std::int64_t wanted) {
    return wanted < 0 || dim == wanted;
  });
}

Tensor copy_of(const Tensor& source, std::pmr::memory_resource* memory) {
  Tensor copy = Tensor::allocate(source.dtype(), source.shape(), memory);
  if (source.dtype() == DType::kString) {
    std::ranges::copy(source.strings(), copy.strings().begin());
  } else if (source.bytes() != 0) {  // memcpy forbids a null source, even for no bytes
    std::memcpy(copy.data(), source.data(), source.bytes());
  }
  return copy;
}

}  // namespace

Status EchoInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  try {
    return run(execution, outputs);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

Status EchoInstance::run(const Execution& execution, std::vector<Tensor>& outputs) {
  if (Status status = check(execution.inputs); !status.is_ok()) return status;
  const EchoOptions& options = model_.options();
  if (options.delay > options.delay.zero()) std::this_thread::sleep_for(options.delay);
  if (model_.next_execute_fails()) {
    return internal_error("echo backend: this execute fails because of option fail_every");
  }
  outputs.clear();
  for (std::size_t i = 0; i < execution.inputs.size(); ++i) {
    const Tensor& input = execution.inputs[i];
    if (options.fail_value) {
      if (const auto row = options.fail_value->find_row(input)) {
        return internal_error("echo backend: row " + std::to_string(*row) + " of input" +
                              std::to_string(i) + " begins with the fail_value");
      }
    }
    // An input may not be kept after the call, so an output is a copy and never another view.
    outputs.push_back(execution.wants(i) ? copy_of(input, execution.memory) : Tensor{});
  }
  return Status::ok();
}

Status EchoInstance::check(std::span<const Tensor> inputs) const {
  const std::vector<TensorSpec>& specs = model_.spec().inputs;
  if (inputs.size() != specs.size()) {
    return invalid_argument("echo backend: " + std::to_string(inputs.size()) +
                            " inputs given, the model takes " + std::to_string(specs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype() != specs[i].dtype) {
      return invalid_argument("echo backend: " + specs[i].name + " is " +
                              std::string(dtype_name(inputs[i].dtype())) + ", the model takes " +
                              std::string(dtype_name(specs[i].dtype)));
    }
    if (!fits(inputs[i].shape().dims(), specs[i].dims)) {
      return invalid_argument("echo backend: " + specs[i].name + " has shape " +
                              to_string(inputs[i].shape().dims()) + ", the model takes " +
                              to_string(specs[i].dims));
    }
  }
  return Status::ok();
}

}  // namespace slipstream::echo
