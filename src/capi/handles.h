#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "capi/options.h"
#include "reprise/c.h"
#include "reprise/error.h"
#include "reprise/pipeline.h"

// What the handles of reprise/c.h point to.

struct reprise_error {
    reprise::ErrorKind kind = reprise::ErrorKind::failure;
    std::string message;
};

struct reprise_pipeline {
    std::shared_ptr<const reprise::Pipeline> pipe;
    mutable std::once_flag honours_once;
    mutable std::string honours;  ///< made when first asked for
};

struct reprise_call {
    std::shared_ptr<const reprise::Pipeline> pipe;
    reprise::GenerateOptions options;
    reprise_callback callback = nullptr;
    void* user = nullptr;
    std::stop_source stop;
    std::atomic<bool> running = false;
};

struct reprise_result {
    reprise::GenerateOutput output;
    std::string report;
};
