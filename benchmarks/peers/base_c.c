/* Hand-written PDLT single-input baseline in C: K, chi_par, chi_perp, V, NTK H for tanh over a (C_b, C_W) grid.
 *   gcc -O3 -march=native -mprefer-vector-width=512 -ffast-math -fopenmp base_c.c -o base_c -lmvec -lm
 *   gcc ... -DPOLY    (own vectorisable tanh instead of libmvec's)
 *   ./base_c GRID LAYERS NODES THREADS REPEATS PARITY      e.g. ./base_c 512 50 64 1 3 0
 * Nodes: probabilists' Gauss-Hermite (Newton on orthonormal Hermite), PARITY=1 uses only x>0 (all integrands even).
 * K' = Cb + CW<tt>, chi_par = CW/(2K)<tt(x^2-1)>, chi_perp = CW<t't'>, V' = chi_par^2 V + CW^2(<tttt>-<tt>^2),
 * H' = lb + lW<tt> + chi_perp H. Prints point-layers per second of wall and of CPU time. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <omp.h>
static double now(clockid_t c){struct timespec t;clock_gettime(c,&t);return t.tv_sec+1e-9*t.tv_nsec;}

static void hermite(int n,double*x,double*w){ /* weight exp(-x^2/2)/sqrt(2pi); bisection on interlacing roots */
  double *prev=malloc((n+2)*8),*cur=malloc((n+2)*8);
  prev[0]=0;
  for(int m=1;m<=n;m++){
    for(int i=0;i<m;i++){
      double lo=(i==0)?-2*sqrt(m+1.0)-1:prev[i-1],hi=(i==m-1)?2*sqrt(m+1.0)+1:prev[i];
      double flo;
      #define EVAL(X,F) {double a=1,b=(X),c=b;if(m==1)c=b;for(int k=1;k<m;k++){c=((X)*b-sqrt((double)k)*a)/sqrt(k+1.0);a=b;b=c;}F=b;}
      EVAL(lo,flo);
      for(int it=0;it<200&&hi-lo>1e-16*(fabs(lo)+fabs(hi));it++){double mid=.5*(lo+hi),fm;EVAL(mid,fm);if((fm>0)==(flo>0))lo=mid;else hi=mid;}
      cur[i]=.5*(lo+hi);
    }
    memcpy(prev,cur,m*8);
  }
  for(int i=0;i<n;i++){ /* w = 1/sum_{k<n} h_k(x)^2, orthonormal h */
    double X=cur[i],a=0,b=1,s=1;
    for(int k=0;k<n-1;k++){double c=(X*b-sqrt((double)k)*a)/sqrt(k+1.0);a=b;b=c;s+=c*c;}
    x[i]=X;w[i]=1/s;
  }
  free(prev);free(cur);
}

#ifdef POLY
/* |x| tanh: 1-2/(exp(2x)+1), exp by 2^k * polynomial degree 11; ~2e-16 abs */
static inline double mytanh(double x){
  double y=fabs(x)*2.0; y=y<40.0?y:40.0;
  double k=floor(y*1.4426950408889634+0.5);
  double r=(y-k*6.93147180369123816490e-01)-k*1.90821492927058770002e-10;
  double p=2.50521083854417188e-08;
  p=p*r+2.75573192239858907e-07;p=p*r+2.75573192239858907e-06;p=p*r+2.48015873015873016e-05;p=p*r+1.98412698412698413e-04;
  p=p*r+1.38888888888888889e-03;p=p*r+8.33333333333333333e-03;p=p*r+4.16666666666666667e-02;p=p*r+1.66666666666666667e-01;
  p=p*r+0.5;p=p*r+1.0;p=p*r+1.0;
  union{double d;long long i;}u;u.i=((long long)k+1023)<<52;
  double t=1.0-2.0/(p*u.d+1.0);
  return copysign(t,x);
}
#define TANH mytanh
#else
#define TANH tanh
#endif

static double out[5];
static void point(double Cb,double CW,double K0,int L,int n,const double*restrict x,const double*restrict w,const double*restrict wx,double*o){
  double K=K0,V=0,H=K0,cpar=0,cperp=0; /* lambda = C: the first layer has H = K */
  for(int l=0;l<L;l++){
    double s=sqrt(K),a=0,b=0,c=0,d=0;
    #pragma omp simd reduction(+:a,b,c,d)
    for(int i=0;i<n;i++){
      double t=TANH(s*x[i]),t2=t*t,q=1-t2;
      a+=w[i]*t2; b+=wx[i]*t2; c+=w[i]*t2*t2; d+=w[i]*q*q;
    }
    cpar=CW*b/(2*K); cperp=CW*d;
    V=cpar*cpar*V+CW*CW*(c-a*a);
    H=Cb+CW*a+cperp*H;   /* lambda_b = C_b, lambda_W = C_W */
    K=Cb+CW*a;
    if(K<1e-300)K=1e-300;
  }
  o[0]=K;o[1]=cpar;o[2]=cperp;o[3]=V;o[4]=H;
}

int main(int argc,char**argv){
  int G=argc>1?atoi(argv[1]):512,L=argc>2?atoi(argv[2]):50,N=argc>3?atoi(argv[3]):64,T=argc>4?atoi(argv[4]):1,R=argc>5?atoi(argv[5]):3,par=argc>6?atoi(argv[6]):0;
  double *x=aligned_alloc(64,(N+8)*8),*w=aligned_alloc(64,(N+8)*8),*wx=aligned_alloc(64,(N+8)*8);
  double *X=malloc(N*8),*W=malloc(N*8);
  hermite(N,X,W); int n=0;
  for(int i=0;i<N;i++) if(!par||X[i]>1e-12){x[n]=X[i];w[n]=W[i]*(par?2:1);wx[n]=w[n]*(X[i]*X[i]-1);n++;}
  double o1[5];point(0.0,1.0,1.0,1,n,x,w,wx,o1);
  printf("check K=1: <tt>=%.15g chi_par=%.15g chi_perp=%.15g V=%.15g\n",o1[0],o1[1],o1[2],o1[3]);
  omp_set_num_threads(T);
  double *res=malloc((size_t)G*G*5*8);
  memset(res,0,(size_t)G*G*5*8);
  for(int r=0;r<R;r++){
    double t=now(CLOCK_MONOTONIC),c=now(CLOCK_PROCESS_CPUTIME_ID);
    #pragma omp parallel for schedule(dynamic,4)
    for(int i=0;i<G;i++)for(int j=0;j<G;j++)
      point(1.0*i/(G-1),0.5+2.5*j/(G-1),1.0,L,n,x,w,wx,res+5*((size_t)i*G+j));
    t=now(CLOCK_MONOTONIC)-t;c=now(CLOCK_PROCESS_CPUTIME_ID)-c;
    double pl=(double)G*G*L;
    printf("grid %d layers %d nodes %d(used %d) threads %d: wall %.3f s cpu %.3f s  %.3g point-layers/s wall, %.3g /cpu-s  (%.2f ns/node cpu)  K[mid]=%.12g V[mid]=%.12g H[mid]=%.12g\n",
      G,L,N,n,T,t,c,pl/t,pl/c,c/pl/n*1e9,res[5*((size_t)G/2*G+G/2)],res[5*((size_t)G/2*G+G/2)+3],res[5*((size_t)G/2*G+G/2)+4]);
  }
  out[0]=res[0];return out[0]>1e300;
}
