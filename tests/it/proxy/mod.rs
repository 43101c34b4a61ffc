//! The proxy between scripted FTP clients and servers, through an embedded SSH server.

mod books;
mod carried;
mod early_end;
mod ends;
mod framing;
mod gateway;
mod home;
mod integrity;
mod left_open;
mod load;
mod modes;
mod ready;
mod rewrite;
mod routed;
mod silent;
mod stop;
mod wholeness;
