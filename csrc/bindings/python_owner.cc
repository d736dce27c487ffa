#include "bindings/python_owner.h"

#include <atomic>
#include <mutex>
#include <vector>

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

// Lives as long as the process: a worker may park a reference while static objects are destroyed.
struct Parked {
  std::mutex mutex;
  std::vector<PyObject*> objects;  // guarded by mutex
  std::atomic<bool> any{false};
};

Parked& parked() {
  static auto* const instance = new Parked;
  return *instance;
}

void drop_or_park(PyObject* object) noexcept {
  if (Py_IsInitialized() != 0 && PyGILState_Check() != 0) {
    Py_DECREF(object);
    return;
  }
  Parked& store = parked();
  const std::scoped_lock lock(store.mutex);
  store.objects.push_back(object);
  store.any.store(true, std::memory_order_release);  // pairs with drop_parked_references()
}

}  // namespace

std::shared_ptr<void> share_python_object(py::object object) {
  return {object.release().ptr(), [](void* held) { drop_or_park(static_cast<PyObject*>(held)); }};
}

void drop_parked_references() {
  Parked& store = parked();
  if (!store.any.load(std::memory_order_acquire)) return;  // pairs with drop_or_park()
  std::vector<PyObject*> objects;
  {
    const std::scoped_lock lock(store.mutex);
    objects.swap(store.objects);
    store.any.store(false, std::memory_order_release);
  }
  // Outside the lock: a destructor may run Python code that comes back here.
  for (PyObject* object : objects) Py_DECREF(object);
}

}  // namespace slipstream::bindings
