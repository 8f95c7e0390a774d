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

using InputArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;

/// A tensor over the array's memory; it holds on to the array.
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

Tensor& embedding(PromptEmbeddings& embeddings, const std::string& name) {
    for (const auto& [known, tensor] : pipelines::named_embeddings())
        if (name == known) return embeddings.*tensor;
    usage_error("'{}' is none of a prompt's embeddings", name);
}

/// A dict of the arrays that there are.
nb::dict arrays_of(const PromptEmbeddings& embeddings) {
    nb::dict arrays;
    for (const auto& [name, tensor] : pipelines::named_embeddings())
        if ((embeddings.*tensor).defined()) arrays[name] = numpy_view(embeddings.*tensor, true);
    return arrays;
}

void bind_options(nb::module_& m) {
    nb::class_<AnimateOptions>(m, "AnimateOptions")
        .def(nb::init<>())
        .def_rw("num_frames", &AnimateOptions::num_frames)
        .def_rw("fps", &AnimateOptions::fps)
        .def_rw("motion_bucket_id", &AnimateOptions::motion_bucket_id)
        .def_rw("noise_aug_strength", &AnimateOptions::noise_aug_strength)
        .def_rw("min_guidance_scale", &AnimateOptions::min_guidance_scale)
        .def_rw("max_guidance_scale", &AnimateOptions::max_guidance_scale)
        .def_rw("decode_chunk_size", &AnimateOptions::decode_chunk_size)
        .def_prop_rw(
            "fit", [](const AnimateOptions& options) { return options::name_of(options.fit); },
            [](AnimateOptions& options, const std::string& name) {
                options.fit = options::value_of<Fit>(name, "fit");
            });
    nb::class_<PromptTexts>(m, "PromptTexts", "What is said for one of several prompts.")
        .def(nb::init<>())
        .def_rw("prompt_2", &PromptTexts::prompt_2, nb::arg().none())
        .def_rw("prompt_3", &PromptTexts::prompt_3, nb::arg().none())
        .def_rw("negative_prompt", &PromptTexts::negative_prompt, nb::arg().none())
        .def_rw("negative_prompt_2", &PromptTexts::negative_prompt_2, nb::arg().none())
        .def_rw("negative_prompt_3", &PromptTexts::negative_prompt_3, nb::arg().none());
    nb::class_<GenerateOptions>(m, "GenerateOptions")
        .def(nb::init<>())
        .def_rw("prompt", &GenerateOptions::prompt)
        .def_rw("prompts", &GenerateOptions::prompts)
        .def_rw("prompt_2", &GenerateOptions::prompt_2, nb::arg().none())
        .def_rw("prompt_3", &GenerateOptions::prompt_3, nb::arg().none())
        .def_rw("negative_prompt", &GenerateOptions::negative_prompt, nb::arg().none())
        .def_rw("negative_prompt_2", &GenerateOptions::negative_prompt_2, nb::arg().none())
        .def_rw("negative_prompt_3", &GenerateOptions::negative_prompt_3, nb::arg().none())
        .def_rw("prompt_texts", &GenerateOptions::prompt_texts)
        .def_rw("image", &GenerateOptions::image)
        .def_rw("video", &GenerateOptions::video)
        .def_rw("num_inference_steps", &GenerateOptions::num_inference_steps, nb::arg().none())
        .def_rw("guidance_scale", &GenerateOptions::guidance_scale, nb::arg().none())
        .def_rw("guidance_rescale", &GenerateOptions::guidance_rescale)
        .def_rw("skip_guidance_layers", &GenerateOptions::skip_guidance_layers)
        .def_rw("width", &GenerateOptions::width)
        .def_rw("height", &GenerateOptions::height)
        .def_rw("seed", &GenerateOptions::seed)
        .def_rw("num_images_per_prompt", &GenerateOptions::num_images_per_prompt)
        .def_rw("clip_skip", &GenerateOptions::clip_skip, nb::arg().none())
        .def_rw("max_sequence_length", &GenerateOptions::max_sequence_length, nb::arg().none())
        .def_rw("clean_caption", &GenerateOptions::clean_caption)
        .def_rw("use_resolution_binning", &GenerateOptions::use_resolution_binning)
        .def_rw("original_size", &GenerateOptions::original_size, nb::arg().none())
        .def_rw("crops_coords_top_left", &GenerateOptions::crops_coords_top_left)
        .def_rw("target_size", &GenerateOptions::target_size, nb::arg().none())
        .def_rw("scheduler", &GenerateOptions::scheduler)
        .def_rw("decode", &GenerateOptions::decode)
        .def(
            "set_reuse",
            [](GenerateOptions& options, const nb::object& reuse) {
                options.reuse = nb::isinstance<nb::str>(reuse) ? Reuse(nb::cast<std::string>(reuse))
                                                               : Reuse(config_of(reuse));
            },
            "reuse"_a, nb::sig("def set_reuse(self, reuse: object) -> None"),
            "A policy with its parameters, \"off\", or a configuration.")
        .def_prop_rw(
            "guidance_mode",
            [](const GenerateOptions& options) { return options::name_of(options.guidance_mode); },
            [](GenerateOptions& options, const std::string& name) {
                options.guidance_mode = options::value_of<GuidanceMode>(name, "guidance_mode");
            })
        .def(
            "set_latents",
            [](GenerateOptions& options, const InputArray& latents) {
                options.latents = tensor_over(latents);
            },
            "latents"_a, "f32, C-contiguous; held, not copied.")
        .def(
            "set_embeddings",
            [](GenerateOptions& options, const std::map<std::string, InputArray>& arrays) {
                PromptEmbeddings embeddings;
                for (const auto& [name, array] : arrays) embedding(embeddings, name) = tensor_over(array);
                options.embeddings = std::move(embeddings);
            },
            "arrays"_a, "By diffusers' names; f32, C-contiguous; held, not copied.");
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
            [](const std::filesystem::path& folder, const std::string& backend, const std::string& device,
               const std::optional<std::string>& precision, const std::optional<std::string>& vae_precision,
               int threads, const std::string& variant, std::optional<std::int64_t> memory_limit,
               bool text_encoders) {
                LoadOptions options;
                options.backend = backend;
                options.device = device;
                if (precision) options.precision = options::value_of<DType>(*precision, "precision");
                if (vae_precision)
                    options.vae_precision = options::value_of<DType>(*vae_precision, "vae_precision");
                options.threads = threads;
                options.variant = variant;
                options.memory_limit = memory_limit;
                options.text_encoders = text_encoders;
                const nb::gil_scoped_release unlock;
                return open(folder, options);
            },
            "folder"_a, "backend"_a, "device"_a, "precision"_a.none(), "vae_precision"_a.none(), "threads"_a,
            "variant"_a, "memory_limit"_a.none(), "text_encoders"_a)
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
