#include "backends/tensorrt/model.h"

#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "backends/tensorrt/computation.h"
#include "backends/tensorrt/instance.h"
#include "backends/tensorrt/options.h"
#include "device/device_instance.h"

namespace slipstream::tensorrt {

TensorRtModel::TensorRtModel(std::shared_ptr<device::Device> device,
                             std::shared_ptr<EngineSource> source, Face face, std::string file,
                             std::size_t slots)
    : device_(std::move(device)),
      source_(std::move(source)),
      face_(std::move(face)),
      file_(std::move(file)),
      slots_(slots) {}

Result<std::unique_ptr<Instance>> TensorRtModel::create_instance() noexcept {
  try {
    const device::Entered entered(*device_);
    Result<std::unique_ptr<device::Computation>> computation =
        TensorRtComputation::create(source_, device_, face_, file_);
    if (!computation.is_ok()) return computation.status();
    Result<std::unique_ptr<Instance>> made = device::DeviceInstance::create(
        device_, std::move(computation).value(), face_.spec, {.slots = slots_});
    if (!made.is_ok()) return made.status();
    return std::unique_ptr<Instance>(
        std::make_unique<TensorRtInstance>(std::move(made).value(), face_.spec));
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

Result<std::unique_ptr<Model>> load_tensorrt_model(const ModelConfig& config,
                                                   OpenDevice open_device) {
  const Result<TensorRtOptions> parsed = TensorRtOptions::parse(config);
  if (!parsed.is_ok()) return parsed.status();
  const TensorRtOptions& options = parsed.value();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(config.path, ignored)) {
    return not_found("tensorrt backend: no plan at '" + config.path + "'");
  }
  Result<MappedFile> file = MappedFile::open(config.path);
  if (!file.is_ok()) return file.status();
  const Result<PlanHeader> header = read_plan_header(file.value().bytes(), config.path);
  if (!header.is_ok()) return header.status();
  const Result<const Library*> library = Library::open(options.library_path);
  if (!library.is_ok()) return library.status();
  Result<std::shared_ptr<device::Device>> device = open_device(options.device);
  if (!device.is_ok()) return device.status();

  const device::Entered entered(*device.value());
  auto source =
      std::make_shared<EngineSource>(*library.value(), device.value(),
                                     EngineSource::Plan{.name = config.path,
                                                        .file = std::move(file).value(),
                                                        .header = header.value(),
                                                        .may_run_host_code = options.host_code});
  const Result<std::shared_ptr<Engine>> engine = source->other_than(nullptr);
  if (!engine.is_ok()) return engine.status();
  const Result<std::vector<Described>> tensors =
      describe(engine.value()->get(), options, config.path);
  if (!tensors.is_ok()) return tensors.status();
  Result<Face> face = face_of(tensors.value(), options, config.path);
  if (!face.is_ok()) return face.status();
  Status status = check_outputs(engine.value()->get(), face.value(), *device.value(), config.path);
  if (!status.is_ok()) return status;
  return std::unique_ptr<Model>(new TensorRtModel(
      device.value(), std::move(source), std::move(face).value(), config.path, options.slots));
}

}  // namespace slipstream::tensorrt
