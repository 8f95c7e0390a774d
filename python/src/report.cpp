// What a run would do, and how far results are apart.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "io/metrics.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/plan_view.h"

namespace reprise::python {

using namespace nb::literals;

namespace {

report::PlanView plan(const Pipeline& pipe, const GenerateOptions& options) {
    const nb::gil_scoped_release unlock;
    const auto& implementation = pipe.implementation();
    const auto ahead = implementation.outlook(implementation.with_defaults(options));
    return report::view_of(*implementation.denoiser().plan(ahead.shape, ahead.evaluations, true));
}

}  // namespace

void bind_report(nb::module_& m) {
    nb::class_<report::PlanView>(m, "PlanView")
        .def_ro("num_steps", &report::PlanView::num_steps)
        .def_ro("num_branches", &report::PlanView::num_branches)
        .def_ro("full_flops", &report::PlanView::full_flops)
        .def_ro("total_flops", &report::PlanView::total_flops)
        .def_ro("full_total_flops", &report::PlanView::full_total_flops)
        .def_ro("kept_bytes", &report::PlanView::kept_bytes)
        .def_ro("prologue_bytes", &report::PlanView::prologue_bytes)
        .def_ro("scratch_bytes", &report::PlanView::scratch_bytes)
        .def_ro("expected_speedup", &report::PlanView::expected_speedup)
        .def("to_text", [](const report::PlanView& view) { return report::to_text(view); })
        .def("to_json", [](const report::PlanView& view) { return report::to_json(view).dump(2); });
    m.def("plan", &plan, "pipe"_a, "options"_a);
    m.def(
        "psnr", [](const Image& a, const Image& b) { return psnr(a, b); }, "a"_a, "b"_a);
    m.def(
        "ssim", [](const Image& a, const Image& b) { return ssim(a, b); }, "a"_a, "b"_a);
}

}  // namespace reprise::python
