/* The C interface as a C program uses it: capi_test [CASE...] runs all cases, or those of these names. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capi/cxx.h"

#define TINY_SD REPRISE_FIXTURES "/pipelines/tiny-sd"
#define TINY_SDXL REPRISE_FIXTURES "/pipelines/tiny-sdxl"
#define TINY_SVD REPRISE_FIXTURES "/pipelines/tiny-svd"

static int failures = 0;

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            ++failures;                                                             \
        }                                                                           \
    } while (0)

/* The error is of this kind and its message has this text; frees it. */
static void expect_error(reprise_error** error, reprise_error_kind kind, const char* text) {
    CHECK(*error != NULL);
    if (reprise_error_get_kind(*error) != kind || strstr(reprise_error_message(*error), text) == NULL) {
        fprintf(stderr, "expected kind %d with \"%s\", found kind %d: %s\n", (int)kind, text,
                (int)reprise_error_get_kind(*error), reprise_error_message(*error));
        ++failures;
    }
    reprise_error_free(*error);
    *error = NULL;
}

/* There is no error. */
static void expect_none(reprise_error** error) {
    if (*error == NULL) return;
    fprintf(stderr, "an error: %s\n", reprise_error_message(*error));
    ++failures;
    reprise_error_free(*error);
    *error = NULL;
}

static reprise_pipeline* opened(const char* folder) {
    reprise_error* error = NULL;
    reprise_pipeline* pipeline = reprise_open(folder, NULL, &error);
    expect_none(&error);
    if (pipeline == NULL) exit(1);
    return pipeline;
}

static reprise_call* called(const reprise_pipeline* pipeline, const char* options) {
    reprise_error* error = NULL;
    reprise_call* call = reprise_call_new(pipeline, options, &error);
    expect_none(&error);
    if (call == NULL) exit(1);
    return call;
}

static reprise_result* generated(reprise_call* call) {
    reprise_error* error = NULL;
    reprise_result* result = reprise_generate(call, &error);
    expect_none(&error);
    if (result == NULL) exit(1);
    return result;
}

static void test_version(void) {
    CHECK(strcmp(reprise_version(), REPRISE_VERSION) == 0);
}

static void test_same_as_cxx(void) {
    const cxx_run full = {TINY_SD, "red apple", 4, 7, NULL, NULL, NULL};
    const cxx_run reused = {TINY_SD, "red apple", 4, 7, "deepcache:interval=2", NULL, NULL};
    reprise_pipeline* pipeline = opened(TINY_SD);
    CHECK(strcmp(reprise_pipeline_class(pipeline), "StableDiffusionPipeline") == 0);
    reprise_call* of_full =
        called(pipeline, "{\"prompt\": \"red apple\", \"num_inference_steps\": 4, \"seed\": 7}");
    reprise_call* of_reused = called(pipeline,
                                     "{\"prompt\": \"red apple\", \"num_inference_steps\": 4, \"seed\": 7,"
                                     " \"reuse\": \"deepcache:interval=2\"}");
    reprise_pipeline_free(pipeline); /* calls go on without the handle */

    reprise_result* first = generated(of_full);
    reprise_result* second = generated(of_reused);
    reprise_result* again = generated(of_full);
    CHECK(cxx_gives(&full, first));
    CHECK(cxx_gives(&reused, second));
    CHECK(cxx_gives(&full, again));
    CHECK(!cxx_gives(&full, second));
    CHECK(strstr(reprise_result_report(first), "\"reuse\":false") != NULL);
    CHECK(strstr(reprise_result_report(second), "\"reuse\":true") != NULL);
    CHECK(strstr(reprise_result_report(second), "\"variant\":\"reused\"") != NULL);
    reprise_result_free(first);
    reprise_result_free(second);
    reprise_result_free(again);
    reprise_call_free(of_full);
    reprise_call_free(of_reused);
}

static void test_configuration_as_json(void) {
    reprise_error* error = NULL;
    reprise_pipeline* pipeline = opened(TINY_SD);
    reprise_call* call = called(pipeline,
                                "{\"prompt\": \"a\", \"num_inference_steps\": 4, \"reuse\": [{"
                                "\"wildcard_or_filter_func\": \"mid_block\","
                                " \"select_cache_step_func\": \"step % 2 != 0\"}]}");
    reprise_result* result = generated(call);
    CHECK(strstr(reprise_result_report(result), "\"reuse\":true") != NULL);
    reprise_result_free(result);
    reprise_call_free(call);

    call = called(pipeline, "{\"prompt\": \"a\", \"reuse\": \"nonsense\"}");
    CHECK(reprise_generate(call, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "nonsense");
    reprise_call_free(call);
    reprise_pipeline_free(pipeline);
}

static void test_wrong_options(void) {
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"{\"promt\": \"a\"}", "\"promt\""},
        {"{\"video\": {\"frames\": 3}}", "\"video.frames\""},
        {"{\"video\": 3}", "video is 3, expected an object"},
        {"{\"video.frames\": 3}", "\"video.frames\""},
        {"{\"seed\": \"abc\"}", "\"seed\""},
        {"{\"seed\": -1}", "\"seed\""},
        {"{\"num_inference_steps\": 2.5}", "\"num_inference_steps\""},
        {"{\"num_inference_steps\": 0}", "\"num_inference_steps\" is 0, expected an integer from 1 to 100000"},
        {"{\"prompt\": null}", "\"prompt\""},
        {"{\"original_size\": [1, 2, 3]}", "\"original_size\""},
        {"{\"guidance_mode\": \"both\"}", "\"guidance_mode\""},
        {"{\"prompt_texts\": [{\"prompt\": \"a\"}]}", "\"prompt_texts.prompt\""},
        {"{\"prompt_texts\": 1}", "\"prompt_texts\""},
        {"{\"reuse\": 2}", "\"reuse\""},
        {"{\"video\": {\"fps\": 8}}", "fps"},  /* not honoured */
        {"{\"prompt_3\": \"a\"}", "prompt_3"}, /* not honoured */
        {"{\"skip_guidance_layers\": [1]}", "skip_guidance_layers"},
        {"{\"prompt\": ", "broken JSON"},
        {"[1]", "expected an object"},
    };
    reprise_error* error = NULL;
    reprise_pipeline* pipeline = opened(TINY_SD);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        CHECK(reprise_call_new(pipeline, cases[i].options, &error) == NULL);
        expect_error(&error, REPRISE_ERROR_USAGE, cases[i].message);
        CHECK(reprise_call_new(pipeline, cases[i].options, NULL) == NULL); /* nobody asks for the error */
    }
    reprise_call_free(called(pipeline, "{\"num_inference_steps\": null, \"clip_skip\": null}"));
    reprise_pipeline_free(pipeline);
}

/* Whether calls with these options give the same latents. */
static bool give_the_same(const reprise_pipeline* pipeline, const char* a, const char* b) {
    reprise_call* calls[2] = {called(pipeline, a), called(pipeline, b)};
    reprise_result* results[2] = {generated(calls[0]), generated(calls[1])};
    reprise_tensor latents[2] = {{0}};
    size_t count = 1;
    for (int i = 0; i < 2; ++i) CHECK(reprise_result_latents(results[i], &latents[i]));
    CHECK(latents[0].rank == latents[1].rank);
    for (size_t i = 0; i < latents[0].rank; ++i) count *= (size_t)latents[0].shape[i];
    const bool same = memcmp(latents[0].values, latents[1].values, count * sizeof(float)) == 0;
    for (int i = 0; i < 2; ++i) {
        reprise_result_free(results[i]);
        reprise_call_free(calls[i]);
    }
    return same;
}

/* Options of every type arrive: what is written in two ways gives one result, and another value another. */
static void test_options(void) {
    static const char plain[] = "{\"prompt\": \"a\", \"num_inference_steps\": 2}";
    static const struct {
        const char *option, *same; /* the rest of the JSON; NULL: it differs from the plain call */
    } cases[] = {
        {"\"prompts\": [\"a\"], \"num_inference_steps\": 2", "\"prompt\": \"a\", \"num_inference_steps\": 2"},
        {"\"prompts\": [\"a\"], \"prompt_texts\": [{\"negative_prompt\": \"b\"}], \"num_inference_steps\": 2",
         "\"prompt\": \"a\", \"negative_prompt\": \"b\", \"num_inference_steps\": 2"},
        {"\"prompt\": \"a\", \"negative_prompt\": \"b\", \"num_inference_steps\": 2", NULL},
        {"\"prompt\": \"a\", \"guidance_scale\": 3, \"num_inference_steps\": 2", NULL},
        {"\"prompt\": \"a\", \"seed\": 18446744073709551615, \"num_inference_steps\": 2", NULL},
        {"\"prompt\": \"a\", \"scheduler\": \"ddim\", \"num_inference_steps\": 2", NULL},
        {"\"prompt\": \"a\", \"guidance_mode\": \"split\", \"decode\": false, \"num_inference_steps\": 2",
         "\"prompt\": \"a\", \"guidance_mode\": \"split\", \"video\": {}, \"num_inference_steps\": 2"},
    };
    char options[2][256];
    reprise_pipeline* pipeline = opened(TINY_SD);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const bool differs = cases[i].same == NULL;
        snprintf(options[0], sizeof options[0], "{%s}", cases[i].option);
        snprintf(options[1], sizeof options[1], "{%s}", differs ? "" : cases[i].same);
        CHECK(give_the_same(pipeline, options[0], differs ? plain : options[1]) != differs);
    }
    reprise_pipeline_free(pipeline);
}

static void test_opening(void) {
    reprise_error* error = NULL;
    CHECK(reprise_open("/no/such/folder", NULL, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "/no/such/folder");
    CHECK(reprise_open(TINY_SD, "{\"backend\": \"none\"}", &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "none");
    CHECK(reprise_open(TINY_SD, "{\"treads\": 1}", &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "\"treads\"");
    CHECK(reprise_open(TINY_SD, "{\"precision\": \"f31\"}", &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "\"f31\", expected one of f32, bf16, f16");
    reprise_pipeline* pipeline =
        reprise_open(TINY_SD, "{\"backend\": \"reference\", \"precision\": \"f32\", \"threads\": 1}", &error);
    expect_none(&error);
    reprise_pipeline_free(pipeline);
}

static void test_null(void) {
    reprise_error* error = NULL;
    reprise_image image;
    reprise_tensor tensor;
    const uint8_t pixel[3] = {0, 0, 0};
    const reprise_image small = {pixel, 1, 1}, none = {NULL, 1, 1}, flat = {pixel, 1, 0};
    CHECK(reprise_open(NULL, NULL, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "\"folder\" is NULL");
    CHECK(reprise_open(NULL, NULL, NULL) == NULL);
    CHECK(reprise_pipeline_class(NULL) == NULL);
    CHECK(reprise_honours(NULL, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "\"pipeline\"");
    CHECK(reprise_call_new(NULL, "{}", &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "\"pipeline\"");
    CHECK(!reprise_attach_image(NULL, "image", &small, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"call\"");
    CHECK(!reprise_attach_tensor(NULL, "latents", NULL, NULL));
    CHECK(!reprise_on(NULL, NULL, NULL, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"call\"");
    reprise_cancel(NULL);
    CHECK(reprise_generate(NULL, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "\"call\"");
    CHECK(reprise_result_image_count(NULL) == 0);
    CHECK(!reprise_result_image(NULL, 0, &image));
    CHECK(!reprise_result_latents(NULL, &tensor));
    CHECK(reprise_result_report(NULL) == NULL);
    CHECK(!reprise_image_save(NULL, "a.png", &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"image\"");
    CHECK(!reprise_image_save(&none, "a.png", &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"image->rgb\"");
    CHECK(!reprise_image_save(&flat, "a.png", &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "1x0");
    CHECK(!reprise_image_save(&small, NULL, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"path\"");
    CHECK(strcmp(reprise_error_message(NULL), "") == 0);
    reprise_error_free(NULL);
    reprise_pipeline_free(NULL);
    reprise_call_free(NULL);
    reprise_result_free(NULL);

    reprise_pipeline* pipeline = opened(TINY_SD);
    reprise_call* call = called(pipeline, NULL);
    CHECK(!reprise_attach_tensor(call, "latents", NULL, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"tensor\"");
    CHECK(!reprise_attach_tensor(call, NULL, &tensor, NULL));
    CHECK(!reprise_attach_image(call, "image", &none, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"image->rgb\"");
    CHECK(!reprise_attach_image(call, "picture", &small, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"picture\"");
    CHECK(!reprise_result_image(NULL, 0, NULL));
    reprise_call_free(call);
    reprise_pipeline_free(pipeline);
}

static bool lists(const reprise_pipeline* pipeline, const char* name) {
    char quoted[64];
    reprise_error* error = NULL;
    const char* honours = reprise_honours(pipeline, &error);
    expect_none(&error);
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    return honours != NULL && strstr(honours, quoted) != NULL;
}

static void test_honours(void) {
    reprise_error* error = NULL;
    reprise_pipeline *sd = opened(TINY_SD), *sdxl = opened(TINY_SDXL), *svd = opened(TINY_SVD);
    CHECK(lists(sd, "prompt") && lists(sd, "seed") && lists(sd, "prompt_embeds") && lists(sd, "latents"));
    CHECK(lists(sd, "clip_skip") && lists(sd, "prompt_texts") && lists(sd, "reuse"));
    CHECK(!lists(sd, "video.fps") && !lists(sd, "image") && !lists(sd, "original_size"));
    CHECK(!lists(sd, "prompt_2") && !lists(sd, "pooled_prompt_embeds") && !lists(sd, "skip_guidance_layers"));
    CHECK(lists(sdxl, "prompt_2") && lists(sdxl, "original_size") && lists(sdxl, "pooled_prompt_embeds"));
    CHECK(lists(sdxl, "denoising_end") && lists(sdxl, "start_latents") && !lists(sdxl, "aesthetic_score"));
    CHECK(!lists(sd, "denoising_start") && !lists(sd, "start_latents") && !lists(svd, "start_latents"));
    CHECK(!lists(sdxl, "prompt_3") && !lists(sdxl, "max_sequence_length"));
    CHECK(lists(svd, "video.fps") && lists(svd, "video.fit") && lists(svd, "image") && lists(svd, "seed"));
    CHECK(!lists(svd, "prompt") && !lists(svd, "guidance_scale") && !lists(svd, "prompt_embeds"));
    reprise_pipeline_free(sd);
    reprise_pipeline_free(sdxl);
    reprise_pipeline_free(svd);

    sd = reprise_open(TINY_SD, "{\"text_encoders\": false}", &error);
    expect_none(&error);
    CHECK(lists(sd, "prompt_embeds") && lists(sd, "seed") && !lists(sd, "negative_prompt"));
    reprise_pipeline_free(sd);
}

/* What a callback saw, and what it does. */
typedef struct seen {
    int phases, steps, messages, last_step, num_steps;
    char text[512];      /* phases and messages in a row */
    int stop_after;      /* steps; 0: never */
    reprise_call* again; /* what is generated within the callback; NULL: nothing */
} seen;

static bool see(const reprise_event* event, void* user) {
    seen* what = user;
    if (event->kind == REPRISE_EVENT_STEP) {
        ++what->steps;
        what->last_step = event->step;
        what->num_steps = event->num_steps;
        CHECK(event->text == NULL && event->seconds > 0);
        if (what->again != NULL) {
            reprise_error* error = NULL;
            CHECK(reprise_generate(what->again, &error) == NULL);
            expect_error(&error, REPRISE_ERROR_USAGE, "running already");
        }
        return what->stop_after == 0 || what->steps < what->stop_after;
    }
    if (event->kind == REPRISE_EVENT_PHASE) ++what->phases;
    if (event->kind == REPRISE_EVENT_MESSAGE) ++what->messages;
    strncat(what->text, event->text, sizeof what->text - strlen(what->text) - 2);
    strcat(what->text, "|");
    return true;
}

static void test_callbacks(void) {
    reprise_error* error = NULL;
    seen what = {0};
    reprise_pipeline* pipeline = opened(TINY_SD);
    reprise_call* call =
        called(pipeline, "{\"prompt\": \"a\", \"num_inference_steps\": 4, \"reuse\": \"auto\"}");
    CHECK(reprise_on(call, see, &what, &error));
    what.again = call;
    reprise_result_free(generated(call));
    CHECK(what.steps == 4 && what.last_step == 3 && what.num_steps == 4);
    CHECK(strstr(what.text, "denoise|") != NULL && strstr(what.text, "decode|") != NULL);
    CHECK(what.messages >= 1 && strstr(what.text, "auto") != NULL);

    memset(&what, 0, sizeof what);
    what.stop_after = 2;
    CHECK(reprise_generate(call, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_CANCELLED, "callback");
    CHECK(what.steps == 2);

    CHECK(reprise_on(call, NULL, NULL, &error));
    reprise_result_free(generated(call)); /* a stopped call may run again */
    CHECK(what.steps == 2);
    reprise_call_free(call);
    reprise_pipeline_free(pipeline);
}

/* A call that another thread cancels after the first step. */
typedef struct cancelling {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    reprise_call* call;
    int steps;
    bool cancelled;
} cancelling;

static void* cancel_after_a_step(void* argument) {
    cancelling* what = argument;
    pthread_mutex_lock(&what->mutex);
    while (what->steps == 0) pthread_cond_wait(&what->changed, &what->mutex);
    reprise_cancel(what->call);
    what->cancelled = true;
    pthread_cond_broadcast(&what->changed);
    pthread_mutex_unlock(&what->mutex);
    return NULL;
}

static bool wait_for_cancel(const reprise_event* event, void* user) {
    cancelling* what = user;
    if (event->kind != REPRISE_EVENT_STEP) return true;
    pthread_mutex_lock(&what->mutex);
    ++what->steps;
    pthread_cond_broadcast(&what->changed);
    while (!what->cancelled) pthread_cond_wait(&what->changed, &what->mutex);
    pthread_mutex_unlock(&what->mutex);
    return true;
}

static void test_cancel(void) {
    reprise_error* error = NULL;
    cancelling what = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0, false};
    pthread_t thread;
    reprise_pipeline* pipeline = opened(TINY_SD);
    what.call = called(pipeline, "{\"prompt\": \"a\", \"num_inference_steps\": 5}");
    CHECK(reprise_on(what.call, wait_for_cancel, &what, &error));
    CHECK(pthread_create(&thread, NULL, cancel_after_a_step, &what) == 0);
    CHECK(reprise_generate(what.call, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_CANCELLED, "");
    pthread_join(thread, NULL);
    CHECK(what.steps == 1);
    CHECK(reprise_generate(what.call, &error) == NULL); /* it stays cancelled */
    expect_error(&error, REPRISE_ERROR_CANCELLED, "");
    CHECK(what.steps == 1);
    reprise_call_free(what.call);
    reprise_pipeline_free(pipeline);
}

static void* generate_in_a_thread(void* call) {
    return generated(call);
}

static void test_two_threads(void) {
    const cxx_run first = {TINY_SD, "red apple", 4, 1, NULL, NULL, NULL};
    const cxx_run second = {TINY_SD, "green pear", 6, 2, "deepcache:interval=3", NULL, NULL};
    reprise_pipeline* pipeline = opened(TINY_SD);
    reprise_call* calls[2] = {
        called(pipeline, "{\"prompt\": \"red apple\", \"num_inference_steps\": 4, \"seed\": 1}"),
        called(pipeline,
               "{\"prompt\": \"green pear\", \"num_inference_steps\": 6, \"seed\": 2,"
               " \"reuse\": \"deepcache:interval=3\"}")};
    pthread_t threads[2];
    void* results[2];
    for (int i = 0; i < 2; ++i) CHECK(pthread_create(&threads[i], NULL, generate_in_a_thread, calls[i]) == 0);
    for (int i = 0; i < 2; ++i) pthread_join(threads[i], &results[i]);
    CHECK(cxx_gives(&first, results[0]));
    CHECK(cxx_gives(&second, results[1]));
    for (int i = 0; i < 2; ++i) {
        reprise_result_free(results[i]);
        reprise_call_free(calls[i]);
    }
    reprise_pipeline_free(pipeline);
}

static void test_attached(void) {
    reprise_error* error = NULL;
    reprise_tensor latents;
    reprise_pipeline* pipeline = opened(TINY_SD);
    reprise_call* call = called(pipeline, "{\"prompt\": \"a\", \"num_inference_steps\": 2, \"seed\": 5}");
    reprise_result* result = generated(call);
    CHECK(reprise_result_latents(result, &latents) && latents.rank == 4);
    const cxx_run run = {TINY_SD, "a", 2, 5, NULL, NULL, &latents};
    CHECK(
        reprise_attach_tensor(call, "latents", &latents, &error)); /* latents of one are noise of the next */
    reprise_result* from_latents = generated(call);
    CHECK(cxx_gives(&run, from_latents));
    CHECK(!cxx_gives(&run, result));

    const int64_t shapes[4][2] = {{2, 3}, {0, 3}, {-1, 3}, {INT64_MAX, INT64_MAX}};
    for (int i = 1; i < 4; ++i) {
        const reprise_tensor broken = {latents.values, shapes[i], 2};
        CHECK(!reprise_attach_tensor(call, "latents", &broken, &error));
        expect_error(&error, REPRISE_ERROR_USAGE, "shape");
    }
    const reprise_tensor other = {latents.values, shapes[0], 2}, scalar = {latents.values, shapes[0], 0};
    CHECK(!reprise_attach_tensor(call, "latents", &scalar, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "0 dimensions");
    CHECK(!reprise_attach_tensor(call, "noise", &other, &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "\"noise\"");
    CHECK(reprise_attach_tensor(call, "latents", &other, &error));
    CHECK(reprise_generate(call, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "(2, 3)");
    reprise_result_free(from_latents);
    reprise_call_free(call);

    call = called(pipeline, "{\"num_inference_steps\": 2}");
    CHECK(reprise_attach_tensor(call, "prompt_embeds", &other, &error));
    CHECK(reprise_generate(call, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "prompt_embeds");
    reprise_result_free(result); /* whose latents were attached until here */
    reprise_call_free(call);
    reprise_pipeline_free(pipeline);
}

static void test_video(void) {
    enum { width = 16, height = 8 };
    reprise_error* error = NULL;
    uint8_t pixels[3 * width * height];
    for (int i = 0; i < 3 * width * height; ++i) pixels[i] = (uint8_t)(i * 7);
    const reprise_image image = {pixels, width, height};
    const cxx_run run = {TINY_SVD, NULL, 2, 3, NULL, &image, NULL};
    reprise_pipeline* pipeline = opened(TINY_SVD);
    reprise_call* call = called(pipeline, "{\"num_inference_steps\": 2, \"seed\": 3}");
    CHECK(reprise_generate(call, &error) == NULL);
    expect_error(&error, REPRISE_ERROR_USAGE, "none is given");
    CHECK(reprise_attach_image(call, "image", &image, &error));
    reprise_result* result = generated(call);
    CHECK(reprise_result_image_count(result) > 1);
    CHECK(cxx_gives(&run, result));
    reprise_result_free(result);
    reprise_call_free(call);
    reprise_pipeline_free(pipeline);
}

static void test_save(void) {
    enum { signature_size = 8 };
    static const char signature[signature_size + 1] = "\x89PNG\r\n\x1a\n";
    const uint8_t pixels[6] = {255, 0, 0, 0, 0, 255};
    const reprise_image image = {pixels, 2, 1};
    char head[signature_size] = {0};
    reprise_error* error = NULL;
    CHECK(reprise_image_save(&image, "capi_test.png", &error));
    expect_none(&error);
    FILE* file = fopen("capi_test.png", "rb");
    CHECK(file != NULL && fread(head, 1, signature_size, file) == signature_size);
    CHECK(memcmp(head, signature, signature_size) == 0);
    if (file != NULL) fclose(file);
    remove("capi_test.png");
    CHECK(!reprise_image_save(&image, "capi_test.mp4", &error));
    expect_error(&error, REPRISE_ERROR_USAGE, "capi_test.mp4");
}

static const struct {
    const char* name;
    void (*run)(void);
} tests[] = {
    {"version", test_version},
    {"same_as_cxx", test_same_as_cxx},
    {"configuration_as_json", test_configuration_as_json},
    {"options", test_options},
    {"wrong_options", test_wrong_options},
    {"opening", test_opening},
    {"null", test_null},
    {"honours", test_honours},
    {"callbacks", test_callbacks},
    {"cancel", test_cancel},
    {"two_threads", test_two_threads},
    {"attached", test_attached},
    {"video", test_video},
    {"save", test_save},
};

int main(int argc, char** argv) {
    int run = 0;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; ++i) {
        bool wanted = argc == 1;
        for (int a = 1; a < argc; ++a) wanted = wanted || strcmp(argv[a], tests[i].name) == 0;
        if (!wanted) continue;
        const int before = failures;
        tests[i].run();
        ++run;
        printf("%s %s\n", failures == before ? "ok  " : "FAIL", tests[i].name);
    }
    return run > 0 && failures == 0 ? 0 : 1;
}
