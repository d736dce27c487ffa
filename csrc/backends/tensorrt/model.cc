#include "backends/tensorrt/model.h"

#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "backends/tensorrt/computation.h"
#include "backends/tensorrt/options.h"
#include "device/device_instance.h"
#include "device/graphed_computation.h"

namespace slipstream::tensorrt {

TensorRtModel::TensorRtModel(std::vector<std::shared_ptr<EngineSource>> sources, Face face,
                             std::string file, const TensorRtOptions& options)
    : sources_(std::move(sources)),
      face_(std::move(face)),
      file_(std::move(file)),
      slots_(options.slots),
      graph_rows_(options.graph_rows),
      places_(sources_.size()) {}

Result<std::unique_ptr<Instance>> TensorRtModel::create_instance() noexcept {
  try {
    device::Place place = places_.take();
    const std::shared_ptr<EngineSource>& source = sources_[place.index()];
    const device::Entered entered(*source->device());
    std::unique_ptr<device::Computation> computation =
        std::make_unique<TensorRtComputation>(source, std::move(place), face_, file_);
    if (Status status = computation->build(); !status.is_ok()) return status;
    const std::int64_t rows =
        face_.min_rows == 1 ? graph_rows_ : 0;  // graphs have another way to pad
    return device::DeviceInstance::create(
        source->device(), device::recorded(std::move(computation), rows, face_.spec), face_.spec,
        {.slots = slots_});
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

namespace {

// What the plan is, as its engine on that device says.
Result<Face> face_on(EngineSource& source, const TensorRtOptions& options,
                     const std::string& file) {
  const device::Entered entered(*source.device());
  const Result<std::shared_ptr<Engine>> engine = source.engine();
  if (!engine.is_ok()) return engine.status();
  const Result<std::vector<Described>> tensors = describe(engine.value()->get(), options, file);
  if (!tensors.is_ok()) return tensors.status();
  Result<Face> face = face_of(tensors.value(), options, file);
  if (!face.is_ok()) return face.status();
  Status status = check_outputs(engine.value()->get(), face.value(), *source.device(), file);
  if (!status.is_ok()) return status;
  return face;
}

}  // namespace

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
  const auto plan = std::make_shared<const Plan>(Plan{.name = config.path,
                                                      .file = std::move(file).value(),
                                                      .header = header.value(),
                                                      .may_run_host_code = options.host_code});
  std::vector<std::shared_ptr<EngineSource>> sources;
  for (const int index : options.devices) {
    Result<std::shared_ptr<device::Device>> device = open_device(index);
    if (!device.is_ok()) {
      return Status(device.status().code(), "tensorrt backend: " + device.status().message());
    }
    sources.push_back(
        std::make_shared<EngineSource>(*library.value(), std::move(device).value(), plan));
  }
  // On each of them now, so that a load says what every instance would meet.
  Result<Face> face = face_on(*sources.front(), options, config.path);
  for (std::size_t i = 1; face.is_ok() && i < sources.size(); ++i) {
    face = face_on(*sources[i], options, config.path);
  }
  if (!face.is_ok()) return face.status();
  return std::unique_ptr<Model>(
      new TensorRtModel(std::move(sources), std::move(face).value(), config.path, options));
}

}  // namespace slipstream::tensorrt
