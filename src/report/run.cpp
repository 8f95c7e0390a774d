#include "report/run.h"

#include "options/names.h"

namespace reprise::report {

namespace {

nlohmann::ordered_json messages_of(const RunReport& report) {
    auto messages = nlohmann::ordered_json::array();
    for (const Message& message : report.messages)
        messages.push_back({{"level", message.level == Message::Level::warning ? "warning" : "info"},
                            {"text", message.text}});
    return messages;
}

nlohmann::ordered_json stages_of(const RunReport& report) {
    auto stages = nlohmann::ordered_json::array();
    for (const StageReport& stage : report.stages)
        stages.push_back({{"denoiser", stage.denoiser},
                          {"first_step", stage.first_step},
                          {"summary", stage.summary},
                          {"decisions", stage.decisions}});
    return stages;
}

}  // namespace

nlohmann::ordered_json to_json(const RunReport& report) {
    auto steps = nlohmann::ordered_json::array();
    for (const StepInfo& step : report.steps)
        steps.push_back({{"step", step.step},
                         {"variant", step.reused ? "reused" : "full"},
                         {"seconds", step.seconds},
                         {"flops_share", step.flops_share}});
    return {
        {"summary", report.summary},
        {"steps", steps},
        {"seconds",
         {{"text", report.text_seconds},
          {"compile", report.compile_seconds},
          {"denoise", report.denoise_seconds},
          {"decode", report.decode_seconds}}},
        {"denoise_cpu_seconds", report.denoise_cpu_seconds},
        {"denoise_waited_seconds", report.denoise_waited_seconds},
        {"scheduler", report.scheduler},
        {"precision", report.precision},
        {"guidance_mode", options::name_of(report.guidance_mode)},
        {"reuse", report.reuse},
        {"segments", report.segments},
        {"flops", {{"full", report.flops_full}, {"run", report.flops_run}}},
        {"bytes",
         {{"kept", report.kept_bytes}, {"once", report.prologue_bytes}, {"scratch", report.scratch_bytes}}},
        {"held",
         {{"pieces", report.held.pieces},
          {"bytes", report.held.bytes},
          {"mappings", report.held.mappings},
          {"bytes_in_use", report.held.bytes_in_use}}},
        {"stages", stages_of(report)},
        {"complaints", report.complaints},
        {"messages", messages_of(report)}};
}

}  // namespace reprise::report
