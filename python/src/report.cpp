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
#include "compare/bout.h"
#include "media/metrics.h"
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
    const GenerateOptions asked = implementation.with_defaults(options);
    Plan result = {
        implementation.denoiser().plan(implementation.request(asked, implementation.outlook(asked))),
        implementation.denoiser().class_name(),
        {}};
    result.view = report::view_of(*result.plan);
    return result;
}

report::Comparison compare(Pipeline& pipe, const GenerateOptions& generate,
                           const std::vector<std::string>& prompts, const std::vector<Image>& images,
                           const std::vector<std::pair<std::string, nb::list>>& ways,
                           const std::vector<std::uint64_t>& seeds, std::optional<int> runs,
                           std::optional<std::vector<int>> fewer, const nb::object& progress) {
    report::BoutOptions options = {generate, prompts, images,          {}, cachify::Count::steps,
                                   seeds,    runs,    std::move(fewer)};
    for (const auto& [name, entries] : ways) options.contestants.push_back({name, config_of(entries)});
    const auto call = [&](const GenerateOptions& asked, const std::string& label) {
        if (!goes_on(progress, label)) throw Error(ErrorKind::cancelled, "stopped while comparing");
        GenerateOptions one = asked;
        one.callback_on_step_end = [](const StepInfo&) { return goes_on(nb::none()); };
        one.on_phase = [](std::string_view) { goes_on(nb::none()); };
        return pipe(one);
    };
    const nb::gil_scoped_release unlock;
    report::Comparison comparison = report::Bout(pipe, std::move(options), call).run();
    comparison.settings.emplace_back("version", REPRISE_VERSION);
    return comparison;
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
}

void bind_comparison(nb::module_& m) {
    nb::class_<report::Comparison>(m, "Comparison")
        .def_rw("settings", &report::Comparison::settings, "(name, value): how it was made.")
        .def("contact_sheet", &report::contact_sheet, "most_pairs"_a)
        .def("to_text", [](const report::Comparison& comparison) { return report::to_text(comparison); })
        .def("to_csv", &report::to_csv)
        .def("to_json",
             [](const report::Comparison& comparison) { return report::to_json(comparison).dump(2); })
        .def("to_html", &report::to_html, "most_pairs"_a);
    m.def("compare", &compare, "pipe"_a, "generate"_a, "prompts"_a, "images"_a, "ways"_a, "seeds"_a,
          "runs"_a.none(), "fewer"_a.none(), "progress"_a.none());
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
            options.progress = [&](std::string_view what) {  // nothing to say: only Ctrl-C is looked for
                return what.empty() ? goes_on(nb::none()) : goes_on(progress, what);
            };
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
