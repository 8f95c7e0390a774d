/* Draws a picture in C, reusing what earlier steps computed:
 *   draw MODEL_FOLDER OPTIONS_AS_JSON PICTURE.png */
#include <reprise/c.h>
#include <stdio.h>

static bool show(const reprise_event* event, void* user) {
    (void)user;
    if (event->kind == REPRISE_EVENT_STEP)
        printf("step %d of %d%s\n", event->step + 1, event->num_steps, event->reused ? ", reused" : "");
    else
        printf("%s\n", event->text);
    return true; /* go on */
}

int main(int argc, char** argv) {
    reprise_error* error = NULL;
    reprise_image image;
    if (argc != 4) {
        fprintf(stderr, "usage: draw MODEL_FOLDER OPTIONS_AS_JSON PICTURE.png\n");
        return 2;
    }
    reprise_pipeline* pipeline = reprise_open(argv[1], NULL, &error);
    reprise_call* call = pipeline == NULL ? NULL : reprise_call_new(pipeline, argv[2], &error);
    reprise_result* result = NULL;
    if (call != NULL && reprise_on(call, show, NULL, &error)) result = reprise_generate(call, &error);
    if (reprise_result_image(result, 0, &image)) reprise_image_save(&image, argv[3], &error);

    const int status = error == NULL ? 0 : 1;
    if (error != NULL) fprintf(stderr, "draw: %s\n", reprise_error_message(error));
    reprise_error_free(error);
    reprise_result_free(result);
    reprise_call_free(call);
    reprise_pipeline_free(pipeline);
    return status;
}
