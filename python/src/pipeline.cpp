// Pipelines, what they are asked and what they give.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <cstring>

#include "bindings.h"
#include "core/generator.h"
#include "files/atomic_file.h"
#include "media/video.h"
#include "options/names.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/prompt_embeddings.h"
#include "report/run.h"
#include "reprise/error.h"

namespace reprise::python {

using namespace nb::literals;

namespace {

Image image_of(int width, int height, const nb::bytes& rgb) {
    const auto* begin = static_cast<const std::uint8_t*>(rgb.data());
    return {width, height, std::vector<std::uint8_t>(begin, begin + rgb.size())};
}

nb::object pixels_of(const nb::object& self) {
    auto& image = nb::cast<Image&>(self);
    return nb::cast(nb::ndarray<nb::numpy, std::uint8_t>(
        image.pixels().data(),
        {static_cast<std::size_t>(image.height()), static_cast<std::size_t>(image.width()), 3}, self));
}

Pipeline open(const std::filesystem::path& folder, const LoadOptions& options) {
    std::error_code error;
    const bool absent = !std::filesystem::exists(folder, error) && !error;
    try {
        return Pipeline::from_pretrained(folder, options);
    } catch (const Error& thrown) {
        if (!absent) throw;
        const nb::gil_scoped_acquire lock;
        PyErr_SetString(PyExc_FileNotFoundError, one_line(thrown.what()).c_str());
        throw nb::python_error();
    }
}

/// Runs without the interpreter's lock, which it takes after each step and at each phase: to look for Ctrl-C
/// and to call back. What a callback raises ends the run and goes on to the caller.
GenerateOutput generate(const Pipeline& pipe, const GenerateOptions& asked, const nb::object& on_step,
                        const nb::object& on_phase) {
    GenerateOptions options = asked;
    options.callback_on_step_end = [&](StepInfo& info) {
        const nb::gil_scoped_acquire lock;
        const nb::object seen = nb::cast(info);  // a copy, which may be kept
        if (!goes_on(on_step, seen)) return false;
        info = nb::cast<const StepInfo&>(seen);
        return true;
    };
    options.on_phase = [&](std::string_view phase) { goes_on(on_phase, phase); };
    const nb::gil_scoped_release unlock;
    return pipe(options);
}

void bind_image(nb::module_& m) {
    nb::class_<Image>(m, "Image", "A picture of 8-bit RGB pixels, row by row from the top left.")
        .def_static("from_rgb", &image_of, "width"_a, "height"_a, "rgb"_a,
                    "A picture of width * height * 3 bytes.")
        .def_static(
            "load",
            [](const std::filesystem::path& path) {
                const nb::gil_scoped_release unlock;
                return Image::load(path);
            },
            "path"_a, "Reads a PNG, JPEG or WebP. ValueError naming the file.")
        .def(
            "save",
            [](const Image& image, const std::filesystem::path& path, const ImageText& text) {
                const nb::gil_scoped_release unlock;
                image.save(path, text);
            },
            "path"_a, "text"_a = ImageText(), "Writes a .png or .webp with (key, value) texts.")
        .def_prop_ro("width", &Image::width)
        .def_prop_ro("height", &Image::height)
        .def_prop_ro("array", &pixels_of, nb::sig("def array(self) -> numpy.typing.NDArray[numpy.uint8]"),
                     "uint8 (height, width, 3): the picture's own memory, which the array keeps alive.");
    m.def(
        "save_video",
        [](const std::vector<Image>& frames, const std::filesystem::path& path, int fps,
           const ImageText& text) {
            const nb::gil_scoped_release unlock;
            const Video video = {frames, fps, text};
            const std::string extension = path.extension().string();
            if (extension != ".mp4" && extension != ".webp")
                usage_error("{}: expected a name that ends in .mp4 or .webp", path.string());
            const auto bytes = extension == ".mp4" ? encode_mp4(video, path.string())
                                                   : encode_animated_webp(video, path.string());
            AtomicFile file(path);
            file.write(bytes);
            file.commit();
        },
        "frames"_a, "path"_a, "fps"_a, "text"_a, "Writes an .mp4 (H.264) or an animated lossless .webp.");
}

/// A dict of the arrays that there are.
nb::dict arrays_of(const PromptEmbeddings& embeddings) {
    nb::dict arrays;
    for (const auto& each : pipelines::named_embeddings())
        if (const Tensor& tensor = embeddings.*each.tensor; tensor.defined())
            arrays[each.name] = numpy_view(tensor, true);
    return arrays;
}

void bind_results(nb::module_& m) {
    nb::class_<StepInfo>(m, "StepInfo", "One sampler step, as a callback sees it after the step.")
        .def_ro("step", &StepInfo::step, "Counted from 0.")
        .def_ro("num_steps", &StepInfo::num_steps)
        .def_ro("seconds", &StepInfo::seconds, "Of this step.")
        .def_ro("reused", &StepInfo::reused, "Whether any module was reused.")
        .def_ro("reused_modules", &StepInfo::reused_modules,
                "Names of the modules, or halves of guidance, that were reused.")
        .def_ro("flops_share", &StepInfo::flops_share, "Of a full step's FLOPs.")
        .def_ro("timestep", &StepInfo::timestep, "Of the step's first evaluation.")
        .def_prop_rw(
            "latents",
            [](const StepInfo& info) -> nb::object {
                return info.latents.defined() ? numpy_view(info.latents, false) : nb::none();
            },
            [](StepInfo& info, const nb::object& latents) {
                const nb::object array = arguments().attr("floats")("latents", latents);
                info.latents = tensor_over(nb::cast<InputArray>(array)).clone();
            },
            nb::for_getter(nb::sig("def latents(self) -> numpy.typing.NDArray[numpy.float32] | None")),
            nb::for_setter(nb::arg("value").none()),
            nb::for_setter(nb::sig("def latents(self, value: numpy.typing.ArrayLike, /) -> None")),
            "After the step, float32 of the final latents' shape: the run's own memory, read-only, not "
            "copied. It may be kept. A callback may put other latents in its place. None outside a callback.")
        .def_prop_rw(
            "last", [](const StepInfo& info) { return info.last; },
            [](StepInfo& info, const nb::object& last) {
                info.last = nb::cast<bool>(arguments().attr("boolean")("last", last));
            },
            nb::for_setter(nb::sig("def last(self, value: bool, /) -> None")),
            "A callback sets it to leave the remaining steps out and decode the latents as they are.");
    nb::class_<HeldCode>(m, "HeldCode",
                         "What the process holds of compiled code, of all pipelines together, for calls to "
                         "come. Sizes are the backend's estimates.")
        .def_ro("pieces", &HeldCode::pieces, "Compiled graphs.")
        .def_ro("bytes", &HeldCode::bytes)
        .def_ro("mappings", &HeldCode::mappings, "Of memory; the system allows a process so many.")
        .def_ro("bytes_in_use", &HeldCode::bytes_in_use,
                "Of these, what other calls were running then: it cannot be freed.");
    nb::class_<StageReport>(m, "StageReport", "What one of several denoisers did in a run.")
        .def_ro("denoiser", &StageReport::denoiser, "The component's name.")
        .def_ro("first_step", &StageReport::first_step, "The sampler's step that is its step 0.")
        .def_ro("summary", &StageReport::summary)
        .def_ro("decisions", &StageReport::decisions, "As RunReport.decisions, its own steps.");
    nb::class_<RunReport>(m, "RunReport", "What happened in a run. Times are in seconds.")
        .def_ro("steps", &RunReport::steps)
        .def_ro("text_seconds", &RunReport::text_seconds)
        .def_ro("compile_seconds", &RunReport::compile_seconds)
        .def_ro("denoise_seconds", &RunReport::denoise_seconds)
        .def_ro("denoise_cpu_seconds", &RunReport::denoise_cpu_seconds, "Of all threads of the process.")
        .def_ro("denoise_waited_seconds", &RunReport::denoise_waited_seconds,
                "That its threads were ready to run but had no CPU.")
        .def_ro("decode_seconds", &RunReport::decode_seconds)
        .def_ro("scheduler", &RunReport::scheduler, "diffusers' class.")
        .def_ro("precision", &RunReport::precision, "Of the denoiser.")
        .def_prop_ro("guidance_mode",
                     [](const RunReport& report) { return options::name_of(report.guidance_mode); })
        .def_ro("reuse", &RunReport::reuse, "Whether a prepared configuration was in force.")
        .def_ro("segments", &RunReport::segments)
        .def_ro("flops_full", &RunReport::flops_full, "Of all steps without reuse, one picture.")
        .def_ro("flops_run", &RunReport::flops_run, "Of what was run.")
        .def_ro("kept_bytes", &RunReport::kept_bytes, "What reuse keeps between steps, one picture.")
        .def_ro("prologue_bytes", &RunReport::prologue_bytes)
        .def_ro("scratch_bytes", &RunReport::scratch_bytes)
        .def_ro("held", &RunReport::held, "At the end of the call.")
        .def_ro("decisions", &RunReport::decisions,
                "Where reuse is decided while running: for each picture the steps that were reused.")
        .def_ro("stages", &RunReport::stages, "Where several denoisers ran, one for each.")
        .def_ro("complaints", &RunReport::complaints, "Such as NaN in what a module keeps.")
        .def_prop_ro(
            "messages",
            [](const RunReport& report) {
                std::vector<std::pair<std::string, std::string>> messages;
                for (const Message& message : report.messages)
                    messages.emplace_back(message.level == Message::Level::warning ? "warning" : "info",
                                          message.text);
                return messages;
            },
            "What the call had to say: (\"info\" or \"warning\", text).")
        .def_ro("summary", &RunReport::summary)
        .def(
            "to_json", [](const RunReport& report) { return report::to_json(report).dump(2); },
            "Everything as JSON text.")
        .def("__repr__", [](const RunReport& report) { return "<RunReport: " + report.summary + ">"; });
    nb::class_<GenerateOutput>(m, "GenerateOutput")
        .def_ro("images", &GenerateOutput::images)
        .def_ro("report", &GenerateOutput::report)
        .def_prop_ro(
            "latents", [](const GenerateOutput& output) { return numpy_view(output.latents, true); },
            nb::sig("def latents(self) -> numpy.typing.NDArray[numpy.float32]"));
}

}  // namespace

Tensor tensor_over(const InputArray& array) {
    Shape shape;
    for (std::size_t axis = 0; axis < array.ndim(); ++axis)
        shape.push_back(static_cast<std::int64_t>(array.shape(axis)));
    const std::shared_ptr<void> owner(new InputArray(array), [](void* held) {
        const nb::gil_scoped_acquire lock;
        delete static_cast<InputArray*>(held);
    });
    return Tensor::view(DType::f32, shape, const_cast<float*>(array.data()), owner);  // never written
}

nb::object numpy_view(const Tensor& tensor, bool writable) {
    auto* held = new Tensor(tensor);
    const nb::capsule owner(held, [](void* pointer) noexcept { delete static_cast<Tensor*>(pointer); });
    const std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
    auto* data = static_cast<float*>(held->data());
    if (writable) return nb::cast(nb::ndarray<nb::numpy, float>(data, shape.size(), shape.data(), owner));
    return nb::cast(nb::ndarray<nb::numpy, const float>(data, shape.size(), shape.data(), owner));
}

void bind_pipeline(nb::module_& m) {
    bind_image(m);
    bind_options(m);
    bind_results(m);
    nb::class_<Pipeline>(m, "Pipeline")
        .def_static(
            "from_pretrained",
            [](const std::filesystem::path& folder, const nb::dict& options) {
                const LoadOptions load = load_options_of(options);
                const nb::gil_scoped_release unlock;
                return open(folder, load);
            },
            "folder"_a, "options"_a,
            nb::sig("def from_pretrained(folder: str | os.PathLike, options: dict[str, object]) -> Pipeline"))
        .def("__call__", &generate, "options"_a, "on_step"_a.none(), "on_phase"_a.none())
        .def(
            "encode_prompt",
            [](const Pipeline& pipe, const GenerateOptions& options) {
                PromptEmbeddings embeddings;
                {
                    const nb::gil_scoped_release unlock;
                    embeddings = pipe.encode_prompt(options);
                }
                return arrays_of(embeddings);
            },
            "options"_a,
            nb::sig("def encode_prompt(self, options: GenerateOptions) -> "
                    "dict[str, numpy.typing.NDArray[numpy.float32]]"))
        .def_prop_ro("class_name", &Pipeline::class_name)
        .def_prop_ro(
            "animates",
            [](const Pipeline& pipe) { return pipe.implementation().denoiser().model().traits().frames > 0; },
            "Whether it takes a picture, not prompts.")
        .def_prop_ro("denoiser_class",
                     [](const Pipeline& pipe) { return pipe.implementation().denoiser().class_name(); })
        .def_prop_ro(
            "num_inference_steps",
            [](const Pipeline& pipe) { return *pipe.implementation().with_defaults({}).num_inference_steps; })
        .def_prop_ro(
            "precision",
            [](const Pipeline& pipe) { return name_of(pipe.implementation().engine().options.precision); })
        .def("last_report", &Pipeline::last_report);
    m.def(
        "randn",
        [](const Shape& shape, std::uint64_t seed) { return numpy_view(Generator(seed).randn(shape), true); },
        "shape"_a, "seed"_a,
        nb::sig("def randn(shape: collections.abc.Sequence[int], seed: int) -> "
                "numpy.typing.NDArray[numpy.float32]"),
        "The noise that torch.randn(shape, generator=torch.Generator().manual_seed(seed)) gives, float32.");
}

}  // namespace reprise::python
