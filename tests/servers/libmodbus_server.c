/* A Modbus server on Debian's libmodbus, for interoperability tests: unit 1, fixed registers, a hole at 20-29, and at 40 the number of
 * reads of holding registers answered so far. Arguments: "tcp PORT" or "rtu DEVICE". Says {"port": n} on stdout when it listens; for each
 * request a line "function address count". Ends with its stdin. */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static modbus_mapping_t *map;

static void fill(void) {
    uint16_t *r = map->tab_registers;
    union { double d; uint64_t u; } ratio = {.d = 0.1}, mirror = {.d = -2.5};
    int32_t offset = -70000;
    r[0] = 0x3FC0; /* 1.5, ABCD (modbus_set_float_abcd of 3.1.6 swaps the bytes) */
    r[2] = (uint16_t)offset; /* CDAB: low word first */
    r[3] = (uint16_t)((uint32_t)offset >> 16);
    r[4] = 65535;
    r[5] = (uint16_t)-2;
    for (int i = 0; i < 4; i++) {
        uint16_t w = (uint16_t)(mirror.u >> (16 * i)); /* DCBA: words and bytes reversed */
        r[6 + i] = (uint16_t)(ratio.u >> (48 - 16 * i));
        r[12 + i] = (uint16_t)(w << 8 | w >> 8);
        r[16 + i] = 0xFFFF;
    }
    r[10] = 'A' << 8 | '-';
    r[11] = '1' << 8 | '2';
    r[30] = 1234;
    for (int i = 0; i < 4; i++) map->tab_input_registers[i] = (uint16_t)(100 + i);
    for (int i = 0; i < 16; i++) {
        map->tab_bits[i] = i % 3 == 0;
        map->tab_input_bits[i] = i % 2 == 1;
    }
}

static void answer(modbus_t *ctx, const uint8_t *query, int length) {
    int at = modbus_get_header_length(ctx), function = query[at];
    int address = query[at + 1] << 8 | query[at + 2], count = query[at + 3] << 8 | query[at + 4];
    printf("%d %d %d\n", function, address, count);
    fflush(stdout);
    if (function == 3 && address < 30 && address + count > 20) {
        modbus_reply_exception(ctx, query, MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS);
        return;
    }
    if (function == 3) map->tab_registers[40]++;
    modbus_reply(ctx, query, length, map);
}

int main(int argc, char **argv) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int tcp = argc > 2 && !strcmp(argv[1], "tcp"), listening = -1, length;
    modbus_t *ctx = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
    map = modbus_mapping_new(16, 16, 64, 4);
    if (argc < 3 || !ctx || !map) return 2;
    fill();
    modbus_set_slave(ctx, 1);
    if (tcp) listening = modbus_tcp_listen(ctx, 4);
    else if (modbus_connect(ctx)) return 3;
    printf("{\"port\": %d}\n", tcp ? atoi(argv[2]) : 0);
    fflush(stdout);
    for (;;) {
        int socket = tcp ? -1 : modbus_get_socket(ctx);
        for (;;) {
            fd_set ready;
            FD_ZERO(&ready);
            FD_SET(0, &ready);
            FD_SET(socket < 0 ? listening : socket, &ready);
            if (select((socket < 0 ? listening : socket) + 1, &ready, NULL, NULL, NULL) < 0) return 4;
            if (FD_ISSET(0, &ready)) return 0; /* stdin ended */
            if (socket < 0) {
                socket = modbus_tcp_accept(ctx, &listening);
                continue;
            }
            length = modbus_receive(ctx, query);
            if (length > 0) answer(ctx, query, length);
            else if (length < 0 && tcp) break; /* the client has gone */
        }
        modbus_close(ctx);
    }
}
