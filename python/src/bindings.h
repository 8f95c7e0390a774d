#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <optional>
#include <string>
#include <string_view>

#include "reprise/cachify.h"
#include "reprise/pipeline.h"

/// The extension module `reprise._core`: a file for each part, each with one function that adds it.
namespace reprise::python {

namespace nb = nanobind;

void bind_errors(nb::module_& m);
void bind_options(nb::module_& m);
void bind_pipeline(nb::module_& m);
void bind_cachify(nb::module_& m);
void bind_report(nb::module_& m);

/// The tensor's memory as a NumPy array, which keeps it alive. Not copied.
nb::object numpy_view(const Tensor& tensor, bool writable);

using InputArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
/// A tensor over the array's memory; it holds on to the array.
Tensor tensor_over(const InputArray& array);

/// The options of opening a folder, by name. ValueError for one that there is not, or another type.
LoadOptions load_options_of(const nb::dict& values);

/// An error's message, whatever was asked for by a name that has lines.
std::string one_line(std::string_view message);

/// The package's own checks of arguments: `reprise._arguments`.
inline nb::module_ arguments() {
    return nb::module_::import_("reprise._arguments");
}

/// A configuration from a Python list of dicts in the original's form. ValueError or TypeError naming the
/// entry.
cachify::Config config_of(const nb::handle& entries);
/// And back: patterns and expressions where it has them, else functions.
nb::list entries_of(const cachify::Config& config);

/// "steps" or "evaluations".
cachify::Count count_of(const std::string& name);

/// Calls back, if there is something to call, with the interpreter's lock and after a look for Ctrl-C;
/// whether it did not return False. What it raises goes on to the caller.
template <class... Args>
bool goes_on(const nb::object& callback, const Args&... args) {
    const nb::gil_scoped_acquire lock;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (callback.is_none()) return true;
    const nb::object answer = callback(args...);
    const std::string_view kind = Py_TYPE(answer.ptr())->tp_name;  // NumPy's bools are no Python bools
    const bool is_truth = PyBool_Check(answer.ptr()) || kind == "numpy.bool" || kind == "numpy.bool_";
    return !is_truth || PyObject_IsTrue(answer.ptr()) != 0;
}

}  // namespace reprise::python
