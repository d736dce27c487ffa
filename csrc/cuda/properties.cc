#include "cuda/properties.h"

#include <array>
#include <string>
#include <utility>

#include "cuda/cuda_status.h"

namespace slipstream::cuda {

Result<CudaProperties> read_properties(const Driver& driver, int index) {
  const std::string label = "cuda:" + std::to_string(index);
  if (index < 0 || index >= driver.devices) {
    return not_found(label + " is not there: this process has " + std::to_string(driver.devices) +
                     " CUDA devices, counted from 0");
  }
  CudaProperties properties;
  properties.index = index;
  CUdevice device = 0;
  std::array<char, 256> text{};
  constexpr int kTextSize = static_cast<int>(text.size());
  const Functions& call = driver.call;
  CUresult result = call.device_get(&device, index);
  const auto attribute = [&](int& value, CUdevice_attribute which) {
    if (result == CUDA_SUCCESS) result = call.device_get_attribute(&value, which, device);
  };
  if (result == CUDA_SUCCESS) result = call.device_get_name(text.data(), kTextSize, device);
  properties.name = text.data();
  if (result == CUDA_SUCCESS) result = call.device_total_mem(&properties.total_bytes, device);
  attribute(properties.compute_major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  attribute(properties.compute_minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  attribute(properties.multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  attribute(properties.copy_engines, CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT);
  if (result == CUDA_SUCCESS) result = call.device_get_pci_bus_id(text.data(), kTextSize, device);
  properties.pci_bus_id = text.data();
  if (result != CUDA_SUCCESS) {
    return cuda_status(driver, result, label + " does not say what it is");
  }
  return properties;
}

Result<CudaSurvey> survey() noexcept {
  Result<const Driver*> opened = Driver::open();
  if (!opened.is_ok()) return opened.status();
  const Driver& driver = *opened.value();
  CudaSurvey found;
  found.driver_cuda_version = driver.cuda_version;
  for (int index = 0; index < driver.devices; ++index) {
    Result<CudaProperties> properties = read_properties(driver, index);
    if (!properties.is_ok()) return properties.status();
    found.devices.push_back(std::move(properties).value());
  }
  return found;
}

}  // namespace slipstream::cuda
