// What a run would do, how far results are apart, and finding out how a model is best reused.
#include <nanobind/stl/function.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bindings.h"
#include "io/metrics.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/comparison.h"
#include "report/comparison_page.h"
#include "report/graph_drawing.h"
#include "report/plan_drawing.h"
#include "report/plan_view.h"
#include "report/text.h"
#include "reprise/error.h"
#include "reprise/profile.h"
#include "reprise/tune.h"

namespace reprise::python {

using namespace nb::literals;

namespace {

/// A plan with what is shown of it.
struct Plan {
    std::shared_ptr<const cachify::Plan> plan;
    std::string denoiser;
    report::PlanView view;
};

Plan make_plan(const Pipeline& pipe, const GenerateOptions& options) {
    const nb::gil_scoped_release unlock;
    const auto& implementation = pipe.implementation();
    const auto ahead = implementation.outlook(implementation.with_defaults(options));
    Plan result = {implementation.denoiser().plan(ahead.shape, ahead.evaluations, true),
                   implementation.denoiser().class_name(),
                   {}};
    result.view = report::view_of(*result.plan);
    return result;
}

/// What `cachify::prepare` left on a pipeline, to be put back later.
struct Preparation {
    std::optional<pipelines::Preparation> value;
};

/// Adds a way to a comparison: one output for each of its pairs, and of each the full run's seconds beside
/// it.
void add_way(report::Comparison& comparison, const std::string& kind, const std::string& name,
             const std::string& cache, int num_steps, const std::vector<GenerateOutput>& outputs,
             const std::vector<double>& full_seconds, std::optional<int> equal_steps) {
    report::Way way;
    way.kind = kind == "full"     ? report::Way::Kind::full
               : kind == "cached" ? report::Way::Kind::cached
                                  : report::Way::Kind::fewer;
    way.name = name;
    way.cache = cache;
    way.num_steps = num_steps;
    way.equal_steps = equal_steps;
    for (std::size_t p = 0; p < outputs.size(); ++p) {
        const GenerateOutput& output = outputs[p];
        const Shape& shape = output.latents.shape();
        way.made.push_back(
            {output.images, shape.size() == 5
                                ? output.latents.reshaped({shape[0] * shape[1], shape[2], shape[3], shape[4]})
                                : output.latents});
        way.turns.push_back({output.report, full_seconds.at(p)});
        way.summary = output.report.summary;
    }
    if (way.kind == report::Way::Kind::full)
        comparison.full = std::move(way);
    else
        (way.kind == report::Way::Kind::cached ? comparison.cached : comparison.fewer)
            .push_back(std::move(way));
}

void bind_plan(nb::module_& m) {
    nb::class_<Plan>(m, "Plan")
        .def_prop_ro("num_steps", [](const Plan& plan) { return plan.view.num_steps; })
        .def_prop_ro("total_flops", [](const Plan& plan) { return plan.view.total_flops; })
        .def_prop_ro("full_total_flops", [](const Plan& plan) { return plan.view.full_total_flops; })
        .def_prop_ro("kept_bytes", [](const Plan& plan) { return plan.view.kept_bytes; })
        .def_prop_ro("expected_speedup", [](const Plan& plan) { return plan.view.expected_speedup; })
        .def("to_text", [](const Plan& plan) { return report::to_text(plan.view); })
        .def("to_json", [](const Plan& plan) { return report::to_json(plan.view).dump(2); })
        .def(
            "to_svg",
            [](const Plan& plan, const std::string& title, std::size_t most_panels) {
                return report::plan_drawing(*plan.plan, plan.view, plan.denoiser, title, most_panels);
            },
            "title"_a, "most_panels"_a);
    m.def("plan", &make_plan, "pipe"_a, "options"_a);
    nb::class_<Preparation>(m, "Preparation", "What `prepare` left on a pipeline.");
    m.def(
        "preparation_of",
        [](Pipeline& pipe) { return Preparation{pipe.implementation().denoiser().preparation}; }, "pipe"_a);
    m.def(
        "restore_preparation",
        [](Pipeline& pipe, const Preparation& preparation) {
            pipe.implementation().denoiser().preparation = preparation.value;
        },
        "pipe"_a, "preparation"_a);
}

void bind_comparison(nb::module_& m) {
    nb::class_<report::Comparison>(m, "Comparison")
        .def(nb::init<>())
        .def_rw("title", &report::Comparison::title)
        .def_rw("settings", &report::Comparison::settings)
        .def(
            "add_pair",
            [](report::Comparison& comparison, const std::string& prompt, std::uint64_t seed) {
                comparison.pairs.push_back({prompt, seed, 0});
            },
            "prompt"_a, "seed"_a)
        .def("add_way", &add_way, "kind"_a, "name"_a, "cache"_a, "num_steps"_a, "outputs"_a, "full_seconds"_a,
             "equal_steps"_a.none())
        .def("measure", &report::Comparison::measure, nb::call_guard<nb::gil_scoped_release>())
        .def("contact_sheet", &report::contact_sheet, "most_pairs"_a)
        .def("to_text", [](const report::Comparison& comparison) { return report::to_text(comparison); })
        .def("to_csv", &report::to_csv)
        .def("to_json",
             [](const report::Comparison& comparison) { return report::to_json(comparison).dump(2); })
        .def("to_html", &report::to_html, "most_pairs"_a);
    m.def(
        "psnr", [](const Image& a, const Image& b) { return psnr(a, b); }, "a"_a, "b"_a);
    m.def(
        "ssim", [](const Image& a, const Image& b) { return ssim(a, b); }, "a"_a, "b"_a);
}

void bind_tune(nb::module_& m) {
    m.def(
        "calibrate",
        [](Pipeline& pipe, const GenerateOptions& generate, const std::vector<std::string>& prompts,
           const std::vector<Image>& images, const std::vector<std::uint64_t>& seeds,
           const std::vector<std::string>& kinds, const nb::object& progress) {
            tune::CalibrateOptions options = {generate, prompts, images, seeds, {}, {}};
            for (const auto& kind : kinds) options.kinds.push_back(module_kind(kind));
            options.generate.callback_on_step_end = [](const StepInfo&) { return goes_on(nb::none()); };
            options.progress = [&](std::size_t run, std::size_t runs) { goes_on(progress, run, runs); };
            const nb::gil_scoped_release unlock;
            return cachify::to_json(tune::calibrate(pipe, options));
        },
        "pipe"_a, "generate"_a, "prompts"_a, "images"_a, "seeds"_a, "kinds"_a, "progress"_a.none(),
        "A profile's JSON form.");
    m.def(
        "check_profile",
        [](std::string_view json, std::string_view origin) { cachify::parse_profile(json, origin); },
        "json"_a, "origin"_a);
    m.def(
        "block_caching",
        [](std::string_view profile, double threshold, const std::vector<std::string>& kinds) {
            cachify::BlockCachingOptions options = {threshold, {}};
            for (const auto& kind : kinds) options.kinds.push_back(module_kind(kind));
            return entries_of(cachify::block_caching(cachify::parse_profile(profile, "profile"), options));
        },
        "profile"_a, "threshold"_a, "kinds"_a);
    nb::class_<tune::Tuned>(m, "Tuned", "A configuration that was found, with what was measured of it.")
        .def_ro("speedup", &tune::Tuned::speedup, "That was asked for, or found to be fast enough.")
        .def_prop_ro("config", [](const tune::Tuned& tuned) { return entries_of(tuned.config); })
        .def_prop_ro(
            "figures", [](const tune::Tuned& tuned) { return tuned.evidence.figures; },
            "Asked, predicted and measured speedup; distances on the tuning pairs and on those held out.")
        .def_prop_ro(
            "notes", [](const tune::Tuned& tuned) { return tuned.evidence.notes; }, "The schedule in words.")
        .def(
            "to_json",
            [](const tune::Tuned& tuned) { return cachify::to_json(tuned.config, tuned.evidence); },
            "The configuration's JSON form with its evidence.");
    m.def(
        "tune",
        [](Pipeline& pipe, const GenerateOptions& generate, const std::vector<std::string>& prompts,
           const std::vector<Image>& images, std::size_t pairs, const std::vector<double>& speedups,
           double ssim, double psnr, std::uint64_t seed, std::size_t trials, double minutes,
           const std::string& state, const nb::object& progress) {
            tune::TuneOptions options;
            options.generate = generate;
            options.prompts = prompts;
            options.images = images;
            options.pairs = pairs;
            options.speedups = speedups;
            options.quality = {ssim, psnr};
            options.seed = seed;
            options.trials = trials;
            options.minutes = minutes;
            options.state = state;
            options.progress = [&](std::string_view what) { return goes_on(progress, what); };
            const nb::gil_scoped_release unlock;
            return tune::tune(pipe, options);
        },
        "pipe"_a, "generate"_a, "prompts"_a, "images"_a, "pairs"_a, "speedups"_a, "ssim"_a, "psnr"_a,
        "seed"_a, "trials"_a, "minutes"_a, "state"_a, "progress"_a.none());
}

}  // namespace

void bind_report(nb::module_& m) {
    bind_plan(m);
    bind_comparison(m);
    bind_tune(m);
}

}  // namespace reprise::python
