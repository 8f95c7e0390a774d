// Options of calls and of opening, by their rows.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "options/describe.h"
#include "options/row.h"
#include "pipelines/attachments.h"
#include "pipelines/prompt_embeddings.h"
#include "reprise/error.h"

namespace reprise::python {

using namespace nb::literals;

namespace {

/// What the package's own checks let through as JSON.
Json json_of(const nb::handle& value) {
    if (value.is_none()) return nullptr;
    if (nb::isinstance<nb::bool_>(value)) return nb::cast<bool>(value);
    if (nb::isinstance<nb::int_>(value)) {
        const bool negative = PyObject_RichCompareBool(value.ptr(), nb::int_(0).ptr(), Py_LT) == 1;
        return negative ? Json(nb::cast<std::int64_t>(value)) : Json(nb::cast<std::uint64_t>(value));
    }
    if (nb::isinstance<nb::float_>(value)) return nb::cast<double>(value);
    if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
    if (nb::isinstance<nb::dict>(value)) {
        Json object = Json::object();
        for (const auto& [key, its] : nb::borrow<nb::dict>(value))
            object[nb::cast<std::string>(key)] = json_of(its);
        return object;
    }
    Json list = Json::array();
    for (const nb::handle item : value) list.push_back(json_of(item));
    return list;
}

void set(const options::Table& table, void* owner, const std::string& name, const nb::handle& value) {
    const options::Row* row = table.find(name);
    if (row == nullptr || row->set == nullptr) usage_error("there is no option '{}'", name);
    row->set(owner, json_of(value), *row, "");
}

Reuse reuse_of(const nb::handle& reuse) {
    if (nb::isinstance<nb::str>(reuse)) return nb::cast<std::string>(reuse);
    if (!nb::isinstance<nb::dict>(reuse)) return config_of(nb::borrow<nb::object>(reuse));
    Reuse all;
    for (const auto& [denoiser, own] : nb::borrow<nb::dict>(reuse))
        all.of[nb::cast<std::string>(denoiser)] = reuse_of(own);
    return all;
}

}  // namespace

LoadOptions load_options_of(const nb::dict& values) {
    LoadOptions options;
    for (const auto& [name, value] : values)
        set(options::load_options(), &options, nb::cast<std::string>(name), value);
    return options;
}

void bind_options(nb::module_& m) {
    m.def(
        "option_rows",
        [](bool of_opening) {
            return text_of(
                options::describe(of_opening ? options::load_options() : options::generate_options()));
        },
        "of_opening"_a, "The options of a call, or of opening a folder, as JSON.");
    m.def(
        "embedding_names",
        [] {
            std::vector<std::string> names;
            for (const auto& each : pipelines::named_embeddings()) names.emplace_back(each.name);
            return names;
        },
        "The names of a prompt's embeddings.");
    nb::class_<GenerateOptions>(m, "GenerateOptions")
        .def(nb::init<>())
        .def(
            "set",
            [](GenerateOptions& options, const std::string& name, const nb::object& value) {
                set(options::generate_options(), &options, name, value);
            },
            "name"_a, "value"_a.none(), nb::sig("def set(self, name: str, value: object | None) -> None"),
            "An option by its row's name. ValueError for another type, or outside of its domain.")
        .def(
            "set_reuse",
            [](GenerateOptions& options, const nb::object& reuse) { options.reuse = reuse_of(reuse); },
            "reuse"_a, nb::sig("def set_reuse(self, reuse: object) -> None"),
            "A policy with its parameters, \"off\", or a configuration; or these by the denoisers' names.")
        .def(
            "attach",
            [](GenerateOptions& options, const std::string& name, const Image& image) {
                pipelines::attach(options, name, image);
            },
            "name"_a, "image"_a)
        .def(
            "attach",
            [](GenerateOptions& options, const std::string& name, const InputArray& array) {
                pipelines::attach(options, name, tensor_over(array));
            },
            "name"_a, "array"_a,
            "A picture, or an array (f32, C-contiguous; held, not copied), under the name of its argument.");
}

}  // namespace reprise::python
