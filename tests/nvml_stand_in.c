/* A libnvidia-ml.so.1 that answers from a text file, read anew at every nvmlInit: the file that NVML_STAND_IN names.
 *
 *   init ERROR                     what nvmlInit returns
 *   driver VERSION
 *   cuda NUMBER                    12040 is 12.4
 *   gpu ERROR TOTAL FREE PERCENT DEGREES MILLIWATTS MIG NAME     ERROR is what asking for the GPU returns; -1 anywhere
 *   instance TOTAL FREE NAME                                     else: not supported. Both belong to the gpu above
 *   process PID BYTES              computes on the gpu or instance above; -1 bytes are not known
 *   window PID BYTES               draws on it
 *   capability NUMBER              86 is 8.6, which it is when nothing is said
 *   fail ERROR                     what every question about the gpu above returns
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { MOST = 16 };

typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned count; process_t all[MOST]; } list_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } place_t;
typedef struct device {
    int error, fail, capability, percent, degrees, milliwatts, mig, instances, instance_of_one;
    long long total, free;
    char name[64];
    list_t computing, drawing;
    struct device *instance[MOST];
} device_t;

static device_t devices[MOST * 2];
static device_t *gpus[MOST];
static int made, count, init_error, cuda;
static char driver[64];

static void add(list_t *list, unsigned pid, long long bytes) {
    process_t it = {pid, bytes < 0 ? ~0ULL : (unsigned long long)bytes, 0, 0};
    list->all[list->count++] = it;
}

static void read_line(const char *line) {
    device_t fresh = {0}, *last = made ? &devices[made - 1] : NULL;
    char word[16];
    unsigned pid;
    long long bytes;
    if (sscanf(line, "init %d", &init_error) == 1 || sscanf(line, "driver %63s", driver) == 1 ||
        sscanf(line, "cuda %d", &cuda) == 1) return;
    if (sscanf(line, "gpu %d %lld %lld %d %d %d %d %63[^\n]", &fresh.error, &fresh.total, &fresh.free, &fresh.percent,
               &fresh.degrees, &fresh.milliwatts, &fresh.mig, fresh.name) == 8) {
        devices[made] = fresh;
        gpus[count++] = &devices[made++];
    } else if (sscanf(line, "instance %lld %lld %63[^\n]", &fresh.total, &fresh.free, fresh.name) == 3) {
        fresh.percent = fresh.degrees = fresh.milliwatts = fresh.mig = -1;
        fresh.instance_of_one = 1;
        devices[made] = fresh;
        gpus[count - 1]->instance[gpus[count - 1]->instances++] = &devices[made++];
    } else if (last && sscanf(line, "%15s %u %lld", word, &pid, &bytes) == 3) {
        add(strcmp(word, "window") ? &last->computing : &last->drawing, pid, bytes);
    } else if (last) {
        if (sscanf(line, "fail %d", &last->fail) != 1) sscanf(line, "capability %d", &last->capability);
    }
}

int nvmlInitWithFlags(unsigned flags) {
    const char *path = getenv("NVML_STAND_IN");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256];
    (void)flags;
    made = count = init_error = cuda = 0;
    if (!file) return 999;
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    return init_error;
}

int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int error) { return error == 24 ? "Frequency Not Supported" : "An error of the stand-in"; }

static int text(char *out, unsigned room, const char *value) {
    snprintf(out, room, "%s", value);
    return SUCCESS;
}

static int number(device_t *device, int value, unsigned *out) {
    if (device->fail) return device->fail;
    if (value < 0) return UNSUPPORTED;
    *out = (unsigned)value;
    return SUCCESS;
}

static int list(device_t *device, const list_t *from, unsigned *room, process_t *out) {
    if (device->fail) return device->fail;
    if (!from->count) { *room = 0; return SUCCESS; }
    if (*room < from->count || !out) { *room = from->count; return TOO_SMALL; }
    memcpy(out, from->all, from->count * sizeof *out);
    *room = from->count;
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *out, unsigned room) { return text(out, room, driver); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = cuda; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *out) { *out = (unsigned)count; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t **out) {
    if (index >= (unsigned)count) return INVALID;
    *out = gpus[index];
    return gpus[index]->error;
}

int nvmlDeviceGetName(device_t *device, char *out, unsigned room) {
    return device->fail ? device->fail : text(out, room, device->name);
}

int nvmlDeviceGetUUID(device_t *device, char *out, unsigned room) {
    snprintf(out, room, "GPU-%ld", (long)(device - devices));
    return device->fail;
}

int nvmlDeviceGetPciInfo_v3(device_t *device, place_t *out) {
    memset(out, 0, sizeof *out);
    out->bus = (unsigned)(device - devices) + 1;
    return device->instance_of_one ? UNSUPPORTED : device->fail;
}

int nvmlDeviceGetCudaComputeCapability(device_t *device, int *major, int *minor) {
    int capability = device->capability ? device->capability : 86;
    *major = capability / 10;
    *minor = capability % 10;
    return device->fail;
}

int nvmlDeviceGetMemoryInfo(device_t *device, memory_t *out) {
    if (device->fail) return device->fail;
    if (device->total < 0) return UNSUPPORTED;
    out->total = (unsigned long long)device->total;
    out->free = (unsigned long long)device->free;
    out->used = out->total - out->free;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device_t *device, unsigned *out) { return number(device, device->percent, out); }
int nvmlDeviceGetPowerUsage(device_t *device, unsigned *out) { return number(device, device->milliwatts, out); }

int nvmlDeviceGetTemperature(device_t *device, int sensor, unsigned *out) {
    return sensor ? INVALID : number(device, device->degrees, out);
}

int nvmlDeviceGetMigMode(device_t *device, unsigned *current, unsigned *pending) {
    *pending = 0;
    return number(device, device->mig, current);
}

int nvmlDeviceGetMaxMigDeviceCount(device_t *device, unsigned *out) { *out = 7; return device->fail; }

int nvmlDeviceGetMigDeviceHandleByIndex(device_t *device, unsigned index, device_t **out) {
    if (index >= (unsigned)device->instances) return NOT_FOUND;
    *out = device->instance[index];
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device_t *device, unsigned *room, process_t *out) {
    return list(device, &device->computing, room, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t *device, unsigned *room, process_t *out) {
    return list(device, &device->drawing, room, out);
}
